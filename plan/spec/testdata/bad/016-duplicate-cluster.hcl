cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}

cluster "lab" {
  member "etcd9" { address = "192.168.7.109" }
}
