cluster "one" {
  member "a" { address = "192.168.7.101" }

  tls {
    dir = "pki"
  }
}

cluster "two" {
  member "a" { address = "192.168.7.102" }

  tls {
    dir = "./pki/"
  }
}
