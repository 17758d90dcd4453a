cluster "lab" {
  member "a" {
    address = "127.0.0.1"
    connection {
      type = "local"
      root = "hosts/a"
    }
  }
  member "b" {
    address = "127.0.0.1"
    connection {
      type = "local"
      root = "./hosts/a/b"
    }
  }
  member "c" {
    address = "127.0.0.1"
    connection {
      type = "local"
      root = "hosts/c"
    }
  }
}
