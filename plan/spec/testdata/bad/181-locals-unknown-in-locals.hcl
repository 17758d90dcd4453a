locals {
  net  = "192.168.7.0/24"
  ip   = cidrhost(local.nett, 101)
}

cluster "lab" {
  member "etcd1" { address = local.ip }
}
