cluster "lab" {
  connection {
    type = "local"
  }

  member "a" { address = "127.0.0.1" }

  member "b" {
    address   = "127.0.0.1"
    peer_port = 2379
  }

  member "c" { address = "127.0.0.1" }
}
