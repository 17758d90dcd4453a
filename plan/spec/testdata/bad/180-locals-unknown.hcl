locals {
  addresses = ["192.168.7.101"]
}

cluster "lab" {
  member "etcd1" { address = local.adresses[0] }
}
