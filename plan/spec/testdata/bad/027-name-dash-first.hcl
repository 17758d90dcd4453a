cluster "lab" {
  member "-etcd" { address = "192.168.7.101" }
}
