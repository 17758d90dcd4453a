#! env QUORATE_VAR_pw=tops3cret-value
variable "pw" {
  sensitive = true
}

locals {
  port = tonumber(var.pw)
  host = cidrhost(var.pw, 1)
  try  = try(tonumber(var.pw), tobool(var.pw))
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
