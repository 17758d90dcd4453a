cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  connection {
    host_keys = [
      "SHA256:tooshort",
      "ssh-ed25519",
      "ssh-ed25519 AAAA",
      "etcd1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHlr",
      "ssh-dss AAAAB3NzaC1kc3M=",
    ]
  }
}
