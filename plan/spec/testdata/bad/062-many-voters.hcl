cluster "lab" {
  member "etcd1" { address = "192.168.7.1" }
  member "etcd2" { address = "192.168.7.2" }
  member "etcd3" { address = "192.168.7.3" }
  member "etcd4" { address = "192.168.7.4" }
  member "etcd5" { address = "192.168.7.5" }
  member "etcd6" { address = "192.168.7.6" }
  member "etcd7" { address = "192.168.7.7" }
  member "etcd8" { address = "192.168.7.8" }
  member "etcd9" { address = "192.168.7.9" }

  server {
    user = "Etcd"
  }
}
