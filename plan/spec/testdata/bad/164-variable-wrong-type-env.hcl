#! env QUORATE_VAR_ips=[1,
variable "ips" {
  type = list(string)
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
