cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  client "app" {
    common_name = "quorate-peer"
  }
  client "quorate-peer" {}
}
