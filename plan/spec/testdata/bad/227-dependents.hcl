cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" {
    address = "127.0.0.1"
    connection { type = "local" }
  }
  host "control1" { address = "192.168.7.111" }
  dependents "Control" { preset = "kubespray" }
  dependents "nothing" {}
  dependents "nowhere" {
    preset = "kubeasz"
    hosts  = []
  }
  dependents "here" {
    hosts = ["etcd3", "control9", "control1", "control1"]
    units = ["kube apiserver", "a", "a.service"]
  }
  dependents "kubelet" {
    hosts = "control1"
    units = ["kubelet"]
  }
  dependents "pods" {
    hosts     = "control1"
    manifests = ["etc/kubernetes/manifests/x.yaml", "/etc/kubernetes/manifests/../x.yaml", "/etc/x.yaml", "/etc/kubernetes/manifests/.x", "/etc/kubernetes/manifests/etcd.yaml"]
    ports     = [0, 6443]
    processes = ["/usr/bin/x"]
    timeout   = "1ms"
  }
  dependents "late" {
    hosts     = "control1"
    units     = ["kubelet.service"]
    manifests = ["/etc/kubernetes/manifests/x.yaml", "/srv/kubernetes/manifests/x.yaml"]
    ports     = "https"
  }
  dependents "late" { units = "b" }
  dependents "apart" {
    hosts     = "worker1"
    manifests = "/etc/kubernetes/manifests/y.yaml"
  }
  dependents "asunder" {
    hosts = "worker1"
    units = "kubelet"
  }
  host "worker1" { address = "192.168.7.121" }
}
cluster "home" {
  member "here" {
    address = "127.0.0.1"
    connection { type = "local" }
  }
  dependents "all" { preset = "kubeasz" }
}
