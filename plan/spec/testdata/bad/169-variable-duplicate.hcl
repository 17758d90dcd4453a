variable "n" {
  default = 1
}

variable "n" {
  default = 2
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
