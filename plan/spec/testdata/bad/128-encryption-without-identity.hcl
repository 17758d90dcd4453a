cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  tls {
    encryption {
      recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudlsmlyqgegz9s"]
    }
  }
}
