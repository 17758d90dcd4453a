# Two clusters on the same three machines: one for Kubernetes, one for its
# events, which are many and may be lost. They differ in ports and folders.

locals {
  hosts = {
    node1 = "192.168.7.101"
    node2 = "192.168.7.102"
    node3 = "192.168.7.103"
  }
}

cluster "main" {
  dynamic "member" {
    for_each = local.hosts
    labels   = [member.key]
    content {
      address = member.value
    }
  }

  client "kube-apiserver" {}
}

cluster "events" {
  dynamic "member" {
    for_each = local.hosts
    labels   = [member.key]
    content {
      address     = member.value
      client_port = 12379
      peer_port   = 12380
    }
  }

  server {
    quota_backend_bytes       = "2GiB"
    auto_compaction_retention = "15m"
  }

  client "kube-apiserver" {}
}
