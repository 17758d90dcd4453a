cluster "lab" {
  member "etcd1" { address = "224.0.0.1" }
}
