cluster "lab" {
  member "etcd1" { address = [1] }
}
