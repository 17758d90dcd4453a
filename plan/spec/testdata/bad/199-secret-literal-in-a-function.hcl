locals {
  number = tonumber("hunter2hunter2")
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

  connection {
    password      = tonumber("hunter2hunter2")
    sudo_password = local.number
  }
}
