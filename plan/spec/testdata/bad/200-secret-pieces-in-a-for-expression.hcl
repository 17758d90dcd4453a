#! env PW=tops3cret-value-tops3cret
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

  server {
    snapshot_count = [for x in split("-", env("PW")) : tonumber(x)]
    extra_options  = { for x in split("-", env("PW")) : x => 1 }
  }
}
