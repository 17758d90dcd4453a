# Three members on this machine: real processes with TLS, without root or SSH.
# Everything they need lives in .quorate/ and pki/ beside this file.
#
#   quorate apply -f examples/local
#   quorate ctl -f examples/local -- put /name quorate

cluster "local" {
  connection {
    type = "local"
  }

  # The n-th local member gets the ports 2379 and 2380, 2389 and 2390, …
  member "etcd1" { address = "127.0.0.1" }
  member "etcd2" { address = "127.0.0.1" }
  member "etcd3" { address = "127.0.0.1" }

  # A certificate for a program: pki/local/clients/app.pem and app-key.pem.
  client "app" {}
}
