cluster "lab" {
  member "etcd1" {
    address     = "192.168.7.101"
    client_port = 0
  }
}
