cluster "lab" {
  member "etcd1" { address = "255.255.255.255" }
}
