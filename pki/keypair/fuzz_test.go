package keypair_test

import (
	"bytes"
	"encoding/pem"
	"testing"

	"quorate/pki/keypair"
)

// FuzzDecode: what is read as a key can be written, and is the same key again.
func FuzzDecode(f *testing.F) {
	for _, algorithm := range []string{"ecdsa-p256", "ed25519", "rsa-2048"} {
		key, err := keypair.Generate(algorithm)
		if err != nil {
			f.Fatal(err)
		}
		text, err := keypair.Encode(key)
		if err != nil {
			f.Fatal(err)
		}
		block, _ := pem.Decode(text)
		f.Add(block.Bytes, block.Type)
	}
	f.Add([]byte{}, "RSA PRIVATE KEY")
	f.Add([]byte{}, "EC PRIVATE KEY")
	f.Fuzz(func(t *testing.T, der []byte, kind string) {
		if len(der) > 8<<10 {
			return
		}
		_, _ = keypair.Decode(der)
		key, err := keypair.Decode(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
		if err != nil {
			if len(der) > 8 && bytes.Contains([]byte(err.Error()), der) {
				t.Errorf("the error quotes the key: %v", err)
			}
			return
		}
		text, err := keypair.Encode(key)
		if err != nil {
			t.Fatal(err)
		}
		again, err := keypair.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		before, err := keypair.Fingerprint(key.Public())
		after, err2 := keypair.Fingerprint(again.Public())
		if err != nil || err2 != nil || before != after {
			t.Errorf("%s %v, again %s %v", before, err, after, err2)
		}
	})
}
