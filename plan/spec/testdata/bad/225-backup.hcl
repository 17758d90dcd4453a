cluster "a" {
  server {
    data_dir = "/srv/etcd"
  }
  backup {
    dir  = "/srv/etcd/backups"
    keep = 0
    encryption {
      passphrase = "x"
      recipients = []
    }
  }
  member "m1" { address = "192.0.2.1" }
}

cluster "b" {
  backup {
    dir = "/etc/backups"
    encryption {
      recipients = ["age1none"]
    }
  }
  member "m1" { address = "192.0.2.2" }
}

cluster "c" {
  backup {
    dir = "/var/backups"
    encryption {}
  }
  member "m1" { address = "192.0.2.3" }
}
