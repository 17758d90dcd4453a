cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  connection {
    type          = "local"
    user          = "admin"
    identity_file = "~/.ssh/id_ed25519"
  }
}
