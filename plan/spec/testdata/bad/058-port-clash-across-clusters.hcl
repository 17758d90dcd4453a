cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}

cluster "two" {
  member "etcd1" { address = "192.168.7.101" }
}
