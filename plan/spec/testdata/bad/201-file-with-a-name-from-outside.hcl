#! env NAME=tops3cret-value
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

  connection {
    password = file(env("NAME"))
  }
}
