# Who is stopped before a restore: both presets, all machines by default, and attributes that take a preset's place.
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" {
    address = "127.0.0.1"
    connection { type = "local" }
  }
  host "control1" { address = "192.168.7.111" }
  host "worker1" { address = "192.168.7.121" }
  dependents "control-plane" {
    preset = "kubeadm"
    hosts  = ["control1", "etcd1"]
    ports  = [8443]
  }
  dependents "nodes" { units = ["kube-proxy"] }
  dependents "own" {
    hosts     = "worker1"
    units     = ["confd", "vault.service"]
    processes = ["vault"]
    timeout   = "30s"
  }
}
cluster "other" {
  member "etcd1" { address = "192.168.8.101" }
  host "control1" { address = "192.168.8.111" }
  dependents "kubernetes" { preset = "kubeasz" }
}
