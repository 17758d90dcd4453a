#! env PW=login-password
#! env SUDO=sudo-password
#! env KEY=key-passphrase
#! env CA=ca-passphrase
cluster "full" {
  connection {
    type                     = "ssh"
    port                     = 2222
    user                     = "admin"
    identity_file            = ["~/.ssh/a", "keys/b"]
    passphrase               = env("KEY")
    password                 = env("PW")
    agent                    = false
    ssh_config               = "~/ssh_config"
    proxy_jump               = ["outer.example.com", "me@[2001:db8::1]:22"]
    known_hosts_file         = "~/known"
    strict_host_key_checking = "accept-new"
    sudo                     = "always"
    sudo_password            = env("SUDO")
    connect_timeout          = "1.5s"
    wait_for_host            = "2m"
    keep_alive               = "0s"
  }

  server {
    binary                    = "~/bin/kvserver"
    kvserver_sha256           = { amd64 = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855" }
    data_dir                  = "/srv/etcd/data/"
    wal_dir                   = "/srv/wal"
    user                      = "etcd"
    quota_backend_bytes       = 2147483648
    auto_compaction_mode      = "revision"
    auto_compaction_retention = "5000"
    snapshot_count            = 50000
    max_request_bytes         = "2 MiB"
    heartbeat_interval        = 200
    election_timeout          = 2000
    log_level                 = "warn"

    extra_options = {
      max-txn-ops   = 512
      "pre-vote"    = true
      metrics       = "extensive"
      cipher-suites = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
    }

    etcd {
      version = "v3.6.11"

      source "amd64" {
        url    = "https://example.com/etcd-v3.6.11-linux-amd64.tar.gz"
        sha256 = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
      }

      source "arm64" {
        url    = "./downloads/etcd"
        sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
      }
    }
  }

  tls {
    dir           = "~/pki"
    key_algorithm = "ed25519"
    ca_lifetime   = "3650d"
    leaf_lifetime = "90d12h"
    renew_before  = "240h"
    extra_sans    = ["*.example.com", "2001:db8::5"]
    ca_cert       = "ca/ca.pem"
    ca_key        = "/secure/ca-key.pem"

    encryption {
      passphrase = env("CA")
    }
  }

  backup {
    dir          = "/srv/backups/etcd/"
    keep         = 30
    interval     = "6h"
    copies       = 3
    prove        = "always"
    textfile_dir = "/var/lib/prometheus/node-exporter/"

    encryption {
      recipients    = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudlsmlyqgegz9s"]
      identity_file = "~/age.txt"
    }
  }

  member "a" {
    address      = "ETCD-A.example.com"
    client_port  = 12379
    peer_port    = 12380
    metrics_port = 12381
    extra_sans   = "a.example.com"
    protect      = true

    connection {
      host      = "a_alias"
      port      = 22
      host_keys = ["SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s"]
      agent     = true
    }
  }

  member "b" { address = "::ffff:192.168.7.102" }
  member "c" { address = "2001:DB8:0:0::3" }

  client "apiserver" {
    common_name  = "kube-apiserver-etcd-client"
    organization = ["system:masters"]
    dir          = "out/../certs"
  }

  client "plain" {}

  host "control" { address = "192.168.7.111" }

  dependents "kubernetes" {
    preset    = "kubeadm"
    hosts     = ["control", "a"]
    units     = ["kubelet"]
    manifests = ["/etc/kubernetes/manifests/kube-apiserver.yaml", "/etc/kubernetes/manifests/kube-vip.yml"]
    processes = ["kube-apiserver"]
    ports     = [6443]
    timeout   = "90s"
  }
}
