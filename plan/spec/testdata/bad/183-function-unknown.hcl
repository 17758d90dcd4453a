cluster "lab" {
  member "etcd1" { address = cidrhosts("192.168.7.0/24", 101) }
}
