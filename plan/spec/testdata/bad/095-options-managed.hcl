cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  server {
    extra_options = {
      name                      = "x"
      data-dir                  = "/srv"
      initial-cluster-state     = "new"
      client-transport-security = "none"
      listen-client-urls        = "http://0.0.0.0:2379"
    }
  }
}
