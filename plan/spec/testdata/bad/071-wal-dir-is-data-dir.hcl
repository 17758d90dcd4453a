cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  server {
    data_dir = "/srv/etcd"
    wal_dir  = "/srv/etcd/"
  }
}
