cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  connection {
    password = env("NO_SUCH_VARIABLE")
  }
}
