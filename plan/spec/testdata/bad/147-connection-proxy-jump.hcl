cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  connection {
    proxy_jump = ["admin@bastion:22", "a,b", "@x", "bastion:ssh", "[2001:db8::1]:22", "[2001:db8::1", "bastion:"]
  }
}
