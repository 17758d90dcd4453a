#! var ipp=192.168.7.101
variable "ip" {
  default = "192.168.7.101"
}

cluster "lab" {
  member "etcd1" { address = var.ip }
}
