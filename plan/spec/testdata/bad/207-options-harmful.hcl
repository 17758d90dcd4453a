cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

  server {
    extra_options = {
      unsafe-no-fsync   = true
      force-new-cluster = true
    }
  }
}
