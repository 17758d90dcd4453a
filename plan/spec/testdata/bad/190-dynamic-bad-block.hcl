cluster "lab" {
  dynamic "members" {
    for_each = ["192.168.7.101"]
    labels   = ["a"]
    content {
      address = members.value
    }
  }
}
