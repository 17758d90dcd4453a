cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  server {
    etcd {
      version = "3.6.11"
    
      source "amd64" {
        url    = "https://example.com/etcd.tar.gz"
        sha256 = "gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg"
      }
    }
  }
}
