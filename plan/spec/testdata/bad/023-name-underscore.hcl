cluster "lab" {
  member "etcd_1" { address = "192.168.7.101" }
}
