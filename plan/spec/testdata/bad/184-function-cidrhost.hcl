cluster "lab" {
  member "etcd1" { address = cidrhost("192.168.7.0/24", 256) }
  member "etcd2" { address = cidrhost("192.168.7.0", 1) }
  member "etcd3" { address = cidrhost(cidrsubnet("192.168.7.0/24", 12, 0), 1) }
}
