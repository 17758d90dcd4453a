#! var pw=tops3cret-value
variable "pw" {
  type      = string
  sensitive = true
}
cluster "lab" {
  connection { sudo_password = var.pw }
  member "etcd1" { address = "192.168.7.101" }
}
