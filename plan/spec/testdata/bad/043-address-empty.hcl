cluster "lab" {
  member "etcd1" { address = "" }
}
