cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

  connection {
    password = <<-EOT
      hunter2
      hunter2 again
    EOT
  }
}
