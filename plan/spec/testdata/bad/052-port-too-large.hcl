cluster "lab" {
  member "etcd1" {
    address   = "192.168.7.101"
    peer_port = 65536
  }
}
