cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  server {
    kvserver_sha256 = {
      amd64  = "e3b0c442"
      arm64  = "g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
      x86_64 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
  }
}
