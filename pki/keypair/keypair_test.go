package keypair

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"quorate/kvserver/node"
)

func TestEveryAlgorithm(t *testing.T) {
	t.Parallel()
	for _, algorithm := range node.KeyAlgorithms() {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			key, err := Generate(algorithm)
			if err != nil {
				t.Fatal(err)
			}
			if got := Algorithm(key.Public()); got != algorithm {
				t.Errorf("made %q", got)
			}
			text, err := Encode(key)
			if err != nil {
				t.Fatal(err)
			}
			back, err := Decode(append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), text...))
			if err != nil {
				t.Fatal(err)
			}
			want, _ := Fingerprint(key.Public())
			if got, err := Fingerprint(back.Public()); err != nil || got != want || len(got) != 64 {
				t.Errorf("came back as %s (%v), want %s", got, err, want)
			}
			request, err := Request(key, "etcd1")
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(request)
			csr, err := x509.ParseCertificateRequest(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if err := csr.CheckSignature(); err != nil {
				t.Error(err)
			}
			if csr.Subject.CommonName != "etcd1" {
				t.Errorf("subject %v", csr.Subject)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	if _, err := Generate("dsa"); err == nil || !strings.Contains(err.Error(), `unknown algorithm "dsa"`) {
		t.Errorf("dsa: %v", err)
	}
	key, err := Generate("ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := Encode(key)
	secret := strings.Split(string(text), "\n")[1]
	for name, in := range map[string]string{
		"empty":     "",
		"no PEM":    "hello",
		"truncated": string(text[:len(text)/2]),
		"damaged":   strings.Replace(string(text), secret[8:16], "AAAAAAAA", 1),
		"encrypted": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"only cert": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	} {
		if _, err := Decode([]byte(in)); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), secret[20:40]) {
			t.Errorf("%s: the error quotes the key", name)
		}
	}
}
