cluster "lab" {
  member "etcd1" { address = "etcd_1.example.com" }
}
