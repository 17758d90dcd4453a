locals {
  pw = "hunter2hunter2"
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

  connection {
    password = local.pw.nope
  }
}
