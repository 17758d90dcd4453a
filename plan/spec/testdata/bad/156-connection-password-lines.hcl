#! env PW=hunter2\nhunter3
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  connection {
    password = env("PW")
  }
}
