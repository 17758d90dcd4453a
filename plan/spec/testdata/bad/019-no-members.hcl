cluster "lab" {
}
