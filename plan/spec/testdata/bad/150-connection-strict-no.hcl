cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  connection {
    strict_host_key_checking = "no"
  }
}
