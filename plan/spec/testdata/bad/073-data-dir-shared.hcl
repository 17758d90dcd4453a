cluster "one" {
  member "a" { address = "192.168.7.101" }

  server {
    data_dir = "/srv/etcd"
  }
}

cluster "two" {
  member "a" {
    address     = "192.168.7.101"
    client_port = 12379
    peer_port   = 12380
  }

  server {
    data_dir = "/srv/etcd/two"
  }
}
