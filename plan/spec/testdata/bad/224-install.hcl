cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" {
    address = "127.0.0.1"
    connection { type = "local" }
  }
  host "etcd1" { address = "192.168.7.111" }
  host "Control" { address = "192.168.7.112" }
  host "control2" { address = "192.168.7.102" }
  host "control3" {}
  host "control4" { address = "192.168.7.114" }
  host "control4" { address = "192.168.7.115" }
  host "control5" { address = "192.168.7.114" }
  client "a" {
    install {
      hosts   = ["control9", "control4", "control4"]
      dir     = "etc/etcd"
      owner   = "kube:kube:kube"
      restart = ["kube apiserver", "a", "a.service"]
    }
    install {
      hosts = []
      dir   = "/etc"
    }
    install {
      hosts   = "etcd3"
      dir     = "/var/lib/quorate/lab/x"
      restart = "x"
    }
    install {
      hosts = "control4"
      dir   = "/etc/kubernetes/pki/../x"
    }
    install {}
  }
  client "b" {
    install {
      hosts = "control4"
      dir   = "/etc/etcd"
    }
  }
  client "c" {
    install {
      hosts = ["control4", "etcd2"]
      dir   = "/etc/etcd/"
    }
  }
}
