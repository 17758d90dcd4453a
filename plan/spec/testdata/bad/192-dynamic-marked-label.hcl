#! env A=etcd1
cluster "lab" {
  dynamic "member" {
    for_each = [env("A")]
    labels   = [member.value]
    content {
      address = "192.168.7.101"
    }
  }
}
