cluster "lab" {
  member "etcd1" { address = "etcd1 .example.com" }
}
