locals {
  hosts = split(",", nope)
}

cluster "lab" {
  dynamic "member" {
    for_each = local.hosts
    labels   = [member.value]
    content {
      address = "${member.value}.example.com"
    }
  }
}
