cluster "lab" {
  member "a" { address = "192.168.7.1" }
  server {
    extra_options = {
      max-txn-ops             = "lots"
      log-format              = "yaml"
      auth-token              = "jwt"
      grpc-keepalive-interval = 10
      pre-vote                = "yes"
      feature-gates           = "LeaseCheckpont=true"
      tls-min-version         = "TLS1.3"
      cipher-suites           = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
    }
  }
}
