dynamic "variable" {
  for_each = ["a"]
  labels   = [variable.value]
  content {}
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
