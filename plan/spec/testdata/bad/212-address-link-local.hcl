cluster "lab" {
  member "a" { address = "fe80::1" }
  member "b" { address = "fe80::1%eth0" }
  member "c" { address = "169.254.7.1" }
  member "d" { address = "::ffff:169.254.7.2" }
  member "e" { address = "ff02::1" }
  member "f" { address = "224.0.0.1" }
  member "g" { address = "::" }
}
