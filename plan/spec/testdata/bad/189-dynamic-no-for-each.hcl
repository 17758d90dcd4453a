cluster "lab" {
  dynamic "member" {
    labels = ["a"]
    content {
      address = "192.168.7.101"
    }
  }
}
