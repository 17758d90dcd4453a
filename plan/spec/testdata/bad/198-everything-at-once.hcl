cluster "Lab" {
  server {
    data_dir            = "etcd"
    quota_backend_bytes = "8 Gigs"
    log_level           = "verbose"
    extra_option        = {}
  }

  tls {
    leaf_lifetime = "1y"
    ca_cert       = "ca.pem"
  }

  connection {
    port = 99999
  }

  member "etcd1" { address = "192.168.7.101:2379" }
  member "etcd1" {}

  member "etcd3" {
    address     = "192.168.7.103"
    client_port = 2380
  }
}
