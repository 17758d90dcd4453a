variable "pin" {
  type      = number
  default   = "tops3cret-value"
  sensitive = true
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
