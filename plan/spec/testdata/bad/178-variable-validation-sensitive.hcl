#! env QUORATE_VAR_pw=tops3cret-value
variable "pw" {
  sensitive = true

  validation {
    condition     = length(var.pw) > 100
    error_message = "${var.pw} is too short"
  }

  validation {
    condition = true
  }
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
