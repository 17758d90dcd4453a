cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  tls {
    extra_sans = ["etcd.example.com", "https://etcd.example.com:2379", "not a name", "*.example.com", "10.0.0.0/8"]
  }
}
