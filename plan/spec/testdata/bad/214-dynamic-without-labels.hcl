cluster "lab" {
  dynamic "member" {
    for_each = { a = "192.168.7.1" }
    content {
      address = member.value
    }
  }
}
