# Certificates signed by a CA of your own, whose key is kept encrypted with age.

cluster "own-ca" {
  member "etcd1" { address = "etcd1.example.com" }
  member "etcd2" { address = "etcd2.example.com" }
  member "etcd3" { address = "etcd3.example.com" }

  tls {
    ca_cert       = "ca/ca.pem"
    ca_key        = "ca/ca-key.pem.age"
    key_algorithm = "ecdsa-p384"
    leaf_lifetime = "90d"
    renew_before  = "20d"

    encryption {
      recipients    = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudlsmlyqgegz9s"]
      identity_file = "~/.config/age/key.txt"
    }
  }
}
