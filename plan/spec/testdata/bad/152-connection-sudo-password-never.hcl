#! env SUDO=hunter2hunter2
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  connection {
    sudo          = "never"
    sudo_password = env("SUDO")
  }
}
