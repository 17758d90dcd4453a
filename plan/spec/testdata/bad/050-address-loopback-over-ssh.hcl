cluster "lab" {
  member "etcd1" { address = "127.0.0.1" }
  member "etcd2" { address = "etcd2.0" }
}
