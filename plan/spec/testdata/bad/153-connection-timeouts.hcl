cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  connection {
    connect_timeout = "0s"
    wait_for_host   = "soon"
    keep_alive      = 15
  }
}
