cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  tls {
    leaf_lifetime = "30d"
    renew_before  = "30d"
  }
}
