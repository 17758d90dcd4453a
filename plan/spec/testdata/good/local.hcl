cluster "one" {
  connection {
    type = "local"
  }

  member "a" { address = "127.0.0.1" }

  member "b" {
    address     = "127.0.0.1"
    client_port = 4000
  }

  member "c" { address = "127.0.0.1" }
}

cluster "two" {
  connection {
    type = "local"
    root = "~/hosts"
  }

  member "a" {
    address     = "127.0.0.1"
    client_port = 5001
    peer_port   = 5002
  }

  member "b" {
    address     = "127.0.0.1"
    client_port = 5003
    peer_port   = 5004

    connection {
      root = "./elsewhere/b/"
    }
  }

  member "c" {
    address = "192.168.7.103"

    connection {
      type = "ssh"
      user = "admin"
    }
  }
}
