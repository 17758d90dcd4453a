package ssh

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"quorate/provision/host/hosttest"
)

// keyPair makes an identity file's text, encrypted if there is a passphrase.
func keyPair(t testing.TB, passphrase string) (ssh.PublicKey, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey(), string(pem.EncodeToMemory(block))
}

func ecKey(t *testing.T) ssh.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signerOf(t, k)
}

func rsaSigner(t *testing.T) ssh.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signerOf(t, k)
}

func signerOf(t *testing.T, key any) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// agentWith runs an agent that holds one key, or without one nine others.
func agentWith(t *testing.T, text, passphrase string) (socket string) {
	t.Helper()
	ring := agent.NewKeyring()
	if text != "" {
		key, err := ssh.ParseRawPrivateKeyWithPassphrase([]byte(text), []byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	for text == "" {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
			t.Fatal(err)
		}
		if keys, _ := ring.List(); len(keys) == 9 {
			break
		}
	}
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, c); c.Close() }()
		}
	}()
	return socket
}

// certificate is one by an authority that nobody trusts.
func certificate(t *testing.T, key ssh.PublicKey) string {
	t.Helper()
	c := &ssh.Certificate{Key: key, CertType: ssh.UserCert, ValidPrincipals: []string{"root"}, ValidBefore: ssh.CertTimeInfinity}
	if err := c.SignCert(rand.Reader, hosttest.NewKey(t)); err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(c))
}

// BenchmarkPassphrase: what a host of a fleet costs whose key another host's connection has opened, beside the first.
func BenchmarkPassphrase(b *testing.B) {
	_, text := keyPair(b, "opensesame")
	var first, others time.Duration
	for b.Loop() {
		keys := openedKeys{}
		for i := range 10 {
			began := time.Now()
			if _, err := keys.key([]byte(text), "opensesame"); err != nil {
				b.Fatal(err)
			}
			if i == 0 {
				first += time.Since(began)
			} else {
				others += time.Since(began) / 9
			}
		}
	}
	b.ReportMetric(float64(others)/float64(first), "of-first")
}

// A key is opened once for all connections, by its own passphrase only.
func TestKeysAreOpenedOnce(t *testing.T) {
	t.Parallel()
	_, text := keyPair(t, "opensesame")
	_, other := keyPair(t, "opensesame")
	var keys openedKeys
	first, err := keys.key([]byte(text), "opensesame")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := keys.key([]byte(text), "opensesame"); err != nil || again != first {
		t.Errorf("opened again: %v", err)
	}
	for range 2 { // it is not tried again
		if _, err := keys.key([]byte(text), "guess"); !errors.Is(err, x509.IncorrectPasswordError) {
			t.Errorf("by a wrong passphrase: %v", err)
		}
	}
	if len(keys.keys) != 2 {
		t.Errorf("%d openings", len(keys.keys))
	}
	if s, err := keys.key([]byte(other), "opensesame"); err != nil || s == first {
		t.Errorf("another key: %v", err)
	}
}
