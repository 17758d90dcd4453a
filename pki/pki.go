// Package pki holds the words and rules of certificates: profiles, requests,
// what a certificate says, when it is due. It is pure and small on purpose:
// it does not parse, sign, store or read a clock (crypto/x509 alone would drag
// the network into the planner). Package pki/authority does that, on cfssl.
package pki

import "time"

// Profile is what a leaf certificate is good for.
type Profile string

// The profiles. A server certificate also carries clientAuth, since etcd's
// gRPC gateway dials its own listener with it (etcd's TLS guide).
const (
	Server Profile = "server"
	Peer   Profile = "peer" // both ends of the peer traffic
	Client Profile = "client"
)

// MaxRequest bounds a signing request (PEM) in bytes: one for an RSA key of 4096 bits has less than two thousand.
const MaxRequest = 16 << 10

// Request is what the operator's side wants signed for one key. The subject
// and names in a host's CSR are ignored; only its public key is taken.
type Request struct {
	Profile      Profile       `json:"profile"`
	CommonName   string        `json:"common_name"`
	Organization []string      `json:"organization,omitempty"`
	SANs         []string      `json:"sans,omitempty"` // IP addresses and DNS names, sorted
	Lifetime     time.Duration `json:"lifetime"`
}

// Certificate is what a certificate says, without its bytes.
type Certificate struct {
	Subject      string    `json:"subject"` // common name
	Organization []string  `json:"organization,omitempty"`
	SANs         []string  `json:"sans,omitempty"` // sorted
	Profiles     []Profile `json:"profiles,omitempty"`
	IsCA         bool      `json:"is_ca,omitempty"`
	KeyAlgorithm string    `json:"key_algorithm"` // as in the spec: ecdsa-p256 …
	NotBefore    time.Time `json:"not_before"`
	NotAfter     time.Time `json:"not_after"`
	Serial       string    `json:"serial"`      // hex
	Fingerprint  string    `json:"fingerprint"` // sha256 of the DER, hex
	PublicKey    string    `json:"public_key"`  // sha256 of the SubjectPublicKeyInfo, hex
	// Issuer is the Fingerprint of the CA that signed it; empty when that CA is not the one at hand.
	Issuer string `json:"issuer,omitempty"`
}
