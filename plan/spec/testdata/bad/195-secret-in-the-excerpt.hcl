#! env PW=tops3cret-value
locals {
  pw = env("PW")
}

cluster "lab" {
  member "etcd1" { address = local.pw.ip }
}
