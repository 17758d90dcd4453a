cluster "lab" {
  connection {
    type = "local"
  }

  member "a" {
    address = "127.0.0.1"
    connection {
      port = 2222
    }
  }
}
