cluster "lab" {
  member "etcd1" { address = "etcd1\nevil" }
}
