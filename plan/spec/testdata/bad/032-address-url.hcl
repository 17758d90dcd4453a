cluster "lab" {
  member "etcd1" { address = "https://etcd1.example.com:2379" }
}
