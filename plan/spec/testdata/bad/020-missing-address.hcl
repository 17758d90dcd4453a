cluster "lab" {
  member "etcd1" {}
}
