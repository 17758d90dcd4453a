#! env PASS=correct horse battery
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  tls {
    encryption {
      passphrase    = env("PASS")
      identity_file = "key.txt"
    }
  }
}
