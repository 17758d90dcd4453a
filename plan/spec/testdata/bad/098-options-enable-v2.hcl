cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  server {
    extra_options = {
      enable-v2 = true
    }
    etcd {
      version = "3.6.11"
      source "amd64" {
        url    = "etcd"
        sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
      }
    }
  }
}
