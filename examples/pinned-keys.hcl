# Host keys pinned in the spec, so that no known_hosts file decides whom to
# trust, and a host behind another port than the rest.

cluster "edge" {
  connection {
    user       = "root"
    agent      = false
    ssh_config = "none"
  }

  member "etcd1" {
    address = "203.0.113.11"
    connection {
      host_keys = ["SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s"]
    }
  }

  member "etcd2" {
    address = "203.0.113.12"
    connection {
      port      = 2222
      host_keys = ["SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM"]
    }
  }

  member "etcd3" {
    address = "203.0.113.13"
    connection {
      host_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"]
    }
  }
}
