cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" { address = "192.168.7.103" }
  member "etcd4" { address = "192.168.7.102" }
  member "etcd5" { address = "192.168.7.105" }
}
