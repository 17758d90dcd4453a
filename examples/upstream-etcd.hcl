# etcd's own release in place of kvserver. The digests are those of the files
# that the release's SHA256SUMS lists; take them from there for another version.

variable "releases" {
  description = "where the release files are: a URL, or a folder on this side"
  type        = string
  default     = "https://github.com/etcd-io/etcd/releases/download"
}

locals {
  version = "3.6.11"
  sha256 = {
    amd64 = "0000000000000000000000000000000000000000000000000000000000000000" # replace
    arm64 = "0000000000000000000000000000000000000000000000000000000000000000" # replace
  }
}

cluster "upstream" {
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" { address = "192.168.7.103" }

  server {
    etcd {
      version = local.version

      dynamic "source" {
        for_each = local.sha256
        labels   = [source.key]
        content {
          url    = "${var.releases}/v${local.version}/etcd-v${local.version}-linux-${source.key}.tar.gz"
          sha256 = source.value
        }
      }
    }

    extra_options = {
      max-txn-ops = 512
    }
  }
}
