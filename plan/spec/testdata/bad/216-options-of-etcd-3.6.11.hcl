cluster "lab" {
  member "a" { address = "192.168.7.1" }
  server {
    extra_options = {
      experimental-initial-corrupt-check = false
      feature-gates = "PriorityRequest=true"
      experimental-compact-hash-check-time = 5
    }
    etcd {
      version = "3.6.11"
      source "amd64" {
        url    = "https://example.com/etcd.tar.gz"
        sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
      }
    }
  }
}
