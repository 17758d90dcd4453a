#! var n=2
variable "n" {
  type = number

  validation {
    condition     = var.n % 2 == 1
    error_message = "an odd number of members, please, not ${var.n}"
  }
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
