cluster "lab" {
  member "etcd1" { address = 192.168 }
  member "etcd2" { address = true }
}
