package authority

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"testing"

	"quorate/pki"
	"quorate/pki/keypair"
)

// fuzzed is an authority, and a request and a certificate of each algorithm that is quick.
func fuzzed(f *testing.F) (a *Authority, requests, certificates [][]byte) {
	a, _, err := Store{Dir: f.TempDir(), Name: "lab CA", KeyAlgorithm: "ecdsa-p256", Lifetime: 3650 * days}.Open(now)
	if err != nil {
		f.Fatal(err)
	}
	for _, algorithm := range []string{"ecdsa-p256", "ed25519", "rsa-2048"} {
		key, err := keypair.Generate(algorithm)
		if err != nil {
			f.Fatal(err)
		}
		request, err := keypair.Request(key, "whatever")
		if err != nil {
			f.Fatal(err)
		}
		text, _, err := a.Sign(context.Background(), request, algorithm, wanted, now)
		if err != nil {
			f.Fatal(err)
		}
		requests, certificates = append(requests, request), append(certificates, text)
	}
	return a, requests, append(certificates, a.Bundle())
}

// longest keeps inputs to what is about a certificate's size.
const longest = 8 << 10

var wanted = pki.Request{Profile: pki.Peer, CommonName: "etcd1", Organization: []string{"lab"}, SANs: []string{"198.18.0.1", "etcd1"}, Lifetime: days}

// FuzzParse: of a certificate everything is told in its canonical form, and
// only what the CA has signed is its own.
func FuzzParse(f *testing.F) {
	a, _, certificates := fuzzed(f)
	sound := map[string]bool{}
	for _, c := range certificates {
		block, _ := pem.Decode(c)
		sound[string(block.Bytes)] = true
		f.Add(block.Bytes)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if len(der) > longest {
			return
		}
		_, _ = Parse(der, a.Bundle())
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		c, err := Parse(text, a.Bundle())
		if err != nil {
			return
		}
		for _, sum := range []string{c.Fingerprint, c.PublicKey} {
			if b, err := hex.DecodeString(sum); err != nil || len(b) != 32 {
				t.Errorf("the sum %q", sum)
			}
		}
		if c.KeyAlgorithm == "" || c.Serial == "" || !slices.Equal(c.SANs, pki.CanonicalSANs(c.SANs)) || !slices.IsSorted(c.Organization) {
			t.Errorf("%+v", c)
		}
		if (c.Issuer == a.CA().Fingerprint) != sound[string(der)] {
			t.Errorf("signed by the CA: %t, said to be by %q: %x", sound[string(der)], c.Issuer, der)
		}
		_ = pki.Mismatch(c, pki.Want{Request: wanted, CA: a.CA(), Now: now})
		if _, err := Parse(text, text); err != nil {
			t.Error(err)
		}
	})
}

// FuzzSign: whatever a host's request says, the certificate is what was asked for.
func FuzzSign(f *testing.F) {
	a, requests, _ := fuzzed(f)
	for _, r := range requests {
		block, _ := pem.Decode(r)
		f.Add(block.Bytes)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if len(der) > longest {
			return
		}
		_, _, _ = a.Sign(t.Context(), der, "ecdsa-p256", wanted, now)
		algorithm := "ecdsa-p256"
		if r, err := x509.ParseCertificateRequest(der); err == nil && r.PublicKey != nil {
			algorithm = keypair.Algorithm(r.PublicKey) // so that the rest is judged too
		}
		text, c, err := a.Sign(t.Context(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), algorithm, wanted, now)
		if (text == nil) != (err != nil) {
			t.Fatalf("%q beside %v", text, err)
		}
		if err == nil && (c.IsCA || c.Subject != wanted.CommonName || !slices.Equal(c.SANs, pki.CanonicalSANs(wanted.SANs)) || c.NotAfter.After(now.Add(wanted.Lifetime)) || c.Issuer != a.CA().Fingerprint) {
			t.Errorf("%+v", c)
		}
	})
}
