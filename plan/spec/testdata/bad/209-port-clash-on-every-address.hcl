cluster "lab" {
  connection {
    type = "local"
  }

  member "a" {
    address     = "127.0.0.1"
    client_port = 2379
    peer_port   = 2380
  }

  # Another loopback address may have the same ports.
  member "b" {
    address     = "127.0.0.2"
    client_port = 2379
    peer_port   = 2380
  }

  # A name listens on every address.
  member "c" {
    address      = "localhost"
    client_port  = 4001
    peer_port    = 2380
    metrics_port = 2379
  }

  # Clients of this address are also served on 127.0.0.1; peers are not.
  member "d" {
    address     = "192.168.7.9"
    client_port = 2379
    peer_port   = 4002
  }

  member "e" {
    address      = "192.168.7.10"
    client_port  = 4003
    peer_port    = 2381
    metrics_port = 4003
  }
}
