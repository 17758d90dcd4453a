#! env QUORATE_VAR_pw=tops3cret-value
variable "pw" {
  sensitive = true
}

cluster "lab" {
  dynamic "member" {
    for_each = toset([var.pw])
    labels   = [member.value]
    content {
      address = "192.168.7.101"
    }
  }
}
