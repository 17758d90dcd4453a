cluster "lab" {
  member "etcd1" { adress = "192.168.7.101" }
}
