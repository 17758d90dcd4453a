# All of these are allowed, with a warning.
cluster "warned" {
  connection {
    password = "written-down"
  }

  server {
    quota_backend_bytes = "100GiB"
    max_request_bytes   = "64MiB"

    extra_options = {
      pre-vote = true
    }
  }

  member "a" { address = "127.0.0.2" }
  member "b" { address = "localhost" }
}
