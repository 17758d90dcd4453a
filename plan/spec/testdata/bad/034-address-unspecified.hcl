cluster "lab" {
  member "etcd1" { address = "0.0.0.0" }
}
