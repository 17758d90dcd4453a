variable "n" {
  default  = 1
  defualt  = 2
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
