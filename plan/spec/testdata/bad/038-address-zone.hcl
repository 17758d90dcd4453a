cluster "lab" {
  member "etcd1" { address = "fe80::1%eth0" }
}
