# Consumers on machines that are no members, and on a member's.
cluster "lab" {
  connection {
    user = "admin"
    port = 2222
  }
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" { address = "192.168.7.103" }
  host "control1" { address = "192.168.7.111" }
  host "control2" {
    address = "control2.example.com"
    connection { user = "root" }
  }
  host "idle" { address = "192.168.7.119" }
  client "kube-apiserver" {
    common_name = "kube-apiserver-etcd-client"
    install {
      hosts   = ["control1", "control2"]
      dir     = "/etc/kubernetes/pki/etcd/"
      owner   = "kube"
      restart = ["kube-apiserver", "konnectivity.service"]
    }
    install {
      hosts = "etcd1"
      dir   = "/etc/kubernetes/pki/etcd"
      owner = "kube:users"
    }
  }
  client "backup" {}
}
