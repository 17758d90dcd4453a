variable "sizes" {
  type    = map(number)
  default = { a = "x" }
}

cluster "lab" {
  member "etcd1" {
    address     = "192.168.7.101"
    client_port = var.sizes.b
  }
}
