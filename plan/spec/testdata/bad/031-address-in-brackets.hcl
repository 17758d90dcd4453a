cluster "lab" {
  member "etcd1" { address = "[2001:db8::1]" }
}
