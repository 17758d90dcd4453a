cluster "a" {
  backup {
    interval     = "30s"
    copies       = 8
    prove        = "monthly"
    textfile_dir = "/var/backups/quorate/a/metrics"
  }
  member "m1" { address = "192.0.2.1" }
}

cluster "b" {
  backup {
    encryption { passphrase = "correct horse" }
  }
  member "m1" { address = "192.0.2.2" }
}

cluster "never" {
  backup {
    interval = "0s"
    encryption { passphrase = "correct horse" }
  }
  member "m1" { address = "192.0.2.3" }
}

cluster "here" {
  connection { type = "local" }
  backup {
    encryption { passphrase = "correct horse" }
  }
  member "m1" { address = "127.0.0.1" }
}

cluster "c" {
  backup {
    interval     = "soon"
    textfile_dir = "prometheus"
  }
  member "m1" { address = "192.0.2.4" }
}
