locals {
  a = local.b
  b = "${local.c}!"
  c = upper(local.a)
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
