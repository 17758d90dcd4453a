# The CA's key encrypted by a passphrase, so that pki/ may live in a repository:
#
#   CA_PASSPHRASE=… quorate apply -f examples/passphrase-ca.hcl

cluster "vault" {
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" { address = "192.168.7.103" }

  tls {
    encryption {
      passphrase = env("CA_PASSPHRASE")
    }
  }
}
