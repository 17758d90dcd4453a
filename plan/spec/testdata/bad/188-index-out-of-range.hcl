locals {
  ips = ["192.168.7.101"]
}

cluster "lab" {
  member "etcd1" { address = local.ips[1] }
}
