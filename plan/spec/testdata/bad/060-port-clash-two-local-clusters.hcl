cluster "one" {
  connection {
    type = "local"
  }

  member "a" { address = "127.0.0.1" }
}

cluster "two" {
  connection {
    type = "local"
  }

  member "a" { address = "127.0.0.1" }
}
