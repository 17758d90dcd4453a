cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  connection {
    host_keys                = ["SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s"]
    strict_host_key_checking = "accept-new"
  }
}
