cluster "one" {
  member "a" { address = "192.168.7.101" }
  client "app" { dir = "certs" }
}

cluster "two" {
  member "a" { address = "192.168.7.102" }
  client "app" { dir = "certs" }
}
