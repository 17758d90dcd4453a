#! varfile n = ["a"]
variable "n" {
  type = number
}

cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }

}
