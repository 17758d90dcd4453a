cluster "lab" {
  member "a" { address = "192.168.7.1:22" }
}
