cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  connection {
    password = "hunter2hunter2"
    port     = 0
  }
}
