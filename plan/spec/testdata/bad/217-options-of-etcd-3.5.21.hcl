cluster "lab" {
  member "a" { address = "192.168.7.1" }
  server {
    extra_options = {
      feature-gates = "LeaseCheckpoint=true"
      max-learners = 2
      debug = true
    }
    etcd {
      version = "3.5.21"
      source "amd64" {
        url    = "https://example.com/etcd.tar.gz"
        sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
      }
    }
  }
}
