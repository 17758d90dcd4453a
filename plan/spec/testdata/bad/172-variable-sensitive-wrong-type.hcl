#! env QUORATE_VAR_pin=tops3cret-value
variable "pin" {
  type      = number
  sensitive = true
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
