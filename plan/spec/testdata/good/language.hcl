#! var size=3
#! var names=["x", "y"]
#! env QUORATE_VAR_domain=env.example.com
#! env QUORATE_VAR_port=1111
#! env QUORATE_VAR_names=["never"]
#! env HOSTS=192.168.7.101,192.168.7.102,192.168.7.103
#! env NODE=node
#! varfile port = 2222
#! varfile domain = "file.example.com"
#! varfile port = 3333
variable "size" { type = number }

variable "domain" {
  type    = string
  default = "default.example.com"

  validation {
    condition     = can(regex("example", var.domain))
    error_message = "only examples, please"
  }
}

variable "port" {
  type    = number
  default = 1
}

variable "names" { type = list(string) }

variable "site" {
  type = object({
    room = optional(string, "r1")
    row  = number
  })
  default = { row = 7 }
}

variable "nothing" {
  type    = string
  default = null
}

variable "secret" {
  sensitive = true
  default   = "from-the-default"
}

locals {
  # In no particular order.
  fqdns   = [for n in local.labels : "${n}.${var.domain}"]
  labels  = [for i in range(var.size) : format("n%d-%s-%d", i, var.site.room, var.site.row)]
  by_env  = { for i, h in split(",", env("HOSTS")) : "${nonsensitive(env("NODE"))}${i}" => h }
  pw      = sensitive("literal-${var.secret}")
  missing = try(local.by_env["none"], "fallback")
}

# Several clusters by one block.
dynamic "cluster" {
  for_each = toset(["east", "west"])
  labels   = [cluster.value]

  content {
    dynamic "member" {
      for_each = local.fqdns
      labels   = [local.labels[member.key]]

      content {
        address     = member.value
        client_port = var.port + (cluster.value == "east" ? 0 : 10)
        peer_port   = cluster.value == "east" ? 2380 : 2390
        extra_sans  = compact(["", var.nothing, "${local.missing}.example.com"])
      }
    }

    connection {
      user     = var.nothing # as if it were not there
      password = local.pw
    }
  }
}

cluster "env" {
  dynamic "member" {
    for_each = local.by_env
    labels   = [member.key]

    content {
      address     = member.value
      client_port = max(4000, tonumber("12"))
    }
  }

  tls {
    extra_sans = concat(
      [cidrhost("10.0.0.0/8", -2), cidrhost(cidrsubnet("2001:db8::/32", 16, 5), 1), cidrhost("10.0.0.7/8", 5)],
      [for s in var.names : upper(s)],
      [trimspace(file("san.txt")), lookup({ a = "b" }, "a", "c"), jsondecode("[\"j.example.com\"]")[0]],
      ["l${length("four")}${length([1, 2])}${length({ a = 1 })}.example.com"],
    )
  }
}
