#! varfile ipp = "192.168.7.101"
variable "ip" {
  default = 5
  type = list(string)
}

cluster "lab" {
  member "etcd1" { address = var.ip }
}
