# Five machines behind a bastion, an ordinary user with sudo, and a password
# that is never written down:
#
#   QUORATE_VAR_sudo_password=… quorate apply -f examples/bastion-sudo.hcl

variable "sudo_password" {
  description = "the password that sudo asks for"
  type        = string
  sensitive   = true
  default     = null # sudo without a password
}

variable "network" {
  type    = string
  default = "10.20.0.0/24"
}

cluster "prod" {
  connection {
    user          = "deploy"
    identity_file = "~/.ssh/prod_ed25519"
    proxy_jump    = ["deploy@bastion.example.com"]
    sudo          = "always"
    sudo_password = var.sudo_password
    wait_for_host = "2m" # machines may still be booting
  }

  dynamic "member" {
    for_each = range(5)
    labels   = ["etcd${member.value + 1}"]
    content {
      address      = cidrhost(var.network, 11 + member.value)
      metrics_port = 2381
      extra_sans   = ["etcd${member.value + 1}.prod.example.com"]
    }
  }

  server {
    wal_dir             = "/var/lib/etcd-wal"
    quota_backend_bytes = "4GiB"
    heartbeat_interval  = 50
    election_timeout    = 500
  }

  tls {
    extra_sans = ["etcd.prod.example.com"]
  }

  client "kube-apiserver" {
    common_name  = "kube-apiserver-etcd-client"
    organization = ["system:masters"]
  }
}
