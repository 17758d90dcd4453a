cluster "lab" {
  member "etcd1" { address = "root@192.168.7.101" }
}
