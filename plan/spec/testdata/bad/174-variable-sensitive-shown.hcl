#! env QUORATE_VAR_pw=tops3cret-value
variable "pw" {
  sensitive = true
}

cluster "lab" {
  member "etcd1" { address = "${var.pw}.example.com" }
}
