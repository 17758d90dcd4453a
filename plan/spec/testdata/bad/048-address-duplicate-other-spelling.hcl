cluster "lab" {
  member "etcd1" { address = "2001:db8::1" }
  member "etcd2" { address = "2001:DB8:0::1" }
  member "etcd3" { address = "ETCD3.example.com" }
  member "etcd4" { address = "etcd3.example.com" }
  member "etcd5" { address = "etcd5.example.com" }
}
