package node

import "slices"

var keyAlgorithms = []string{"ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072", "rsa-4096"}

// KeyAlgorithms lists what a key can be made with, in the spec's words, the default first.
func KeyAlgorithms() []string { return slices.Clone(keyAlgorithms) }
