variable "ip" {
  type = string
}

cluster "lab" {
  member "etcd1" { address = var.ip }
}
