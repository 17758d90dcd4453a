locals {
  a = 1
}

locals {
  a = 2
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
