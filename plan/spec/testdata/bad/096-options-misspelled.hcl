cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  server {
    extra_options = {
      max_txn_ops   = 512
      "--pre-vote"  = true
      max-txn-opps  = 512
    }
  }
}
