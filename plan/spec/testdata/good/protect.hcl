cluster "a" {
  protect = true
  member "etcd1" { address = "192.168.7.1" }
}

cluster "b" {
  member "etcd1" {
    address = "192.168.7.2"
    protect = true
  }
}
