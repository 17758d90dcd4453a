package authority

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"quorate/internal/sealed"
)

// sshKey makes an SSH key, with a passphrase unless that is empty.
func sshKey(t *testing.T, passphrase string) (public, file string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "ann")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "ann", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "id_ed25519")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(p))) + " ann@desk", file
}

// TestSSHRecipients: the key of the CA is encrypted for an SSH key and opened
// with it, also where that key has a passphrase; another key does not open it.
func TestSSHRecipients(t *testing.T) {
	t.Parallel()
	const passphrase = "open-sesame-4713"
	for _, secret := range []string{"", passphrase} {
		s := store(t)
		asked := 0
		public, file := sshKey(t, secret)
		s.Encryption = Encryption{Wanted: true, Recipients: []string{public}, IdentityFile: file, Prompt: func(question string, fresh bool) (string, error) {
			asked++
			if !strings.Contains(question, file) || fresh {
				t.Errorf("asked %q, fresh=%v", question, fresh)
			}
			return passphrase, nil
		}}
		a, _, err := s.Open(now)
		if err != nil {
			t.Fatal(err)
		}
		same(t, names(t, s.Dir), []string{"ca-key.pem.age", "ca.pem"})
		b, created, err := s.Open(now)
		if err != nil || created || b.CA().Fingerprint != a.CA().Fingerprint {
			t.Fatalf("%v %v", created, err)
		}
		if (asked > 0) != (secret != "") {
			t.Errorf("passphrase %q: asked %d times", secret, asked)
		}
		_, other := sshKey(t, "")
		s.Encryption.IdentityFile = other
		if _, _, err := s.Open(now); err == nil || !strings.Contains(err.Error(), "no identity in "+other+" opens it") {
			t.Errorf("another key: %v", err)
		}
		if secret == "" {
			continue
		}
		s.Encryption.IdentityFile, s.Encryption.Prompt = file, nil
		if _, _, err := s.Open(now); err == nil || !strings.Contains(err.Error(), "nobody is there to ask") {
			t.Errorf("without anybody to ask: %v", err)
		}
	}
	s := store(t)
	s.Encryption = Encryption{Wanted: true, Recipients: []string{"ssh-ed25519 nonsense"}}
	if _, _, err := s.Open(now); err == nil || !strings.Contains(err.Error(), `recipient "ssh-ed25519 nonsense" is not an SSH public key`) {
		t.Errorf("nonsense: %v", err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = store(t)
	public, _ := sshKey(t, "")
	s.Encryption = Encryption{Wanted: true, Recipients: []string{public}, IdentityFile: file}
	if _, _, err := s.Open(now); err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("a broken identity: %v", err)
	}
}

// TestCheckEncryption: what age cannot use is found before anything is encrypted, and nobody is asked.
func TestCheckEncryption(t *testing.T) {
	t.Parallel()
	public, plain := sshKey(t, "")
	_, locked := sshKey(t, "open-sesame-4713")
	mine, file := identity(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authorized := func(key any) string {
		k, err := ssh.NewPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(k)))
	}
	for r, ok := range map[string]bool{
		public: true, mine: true, authorized(small.Public()): false, authorized(curve.Public()): false,
		"ssh-ed25519 AAAA": false, mine[:len(mine)-1] + "b": false, "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t": false,
	} {
		if err := sealed.CheckRecipient(r); (err == nil) != ok {
			t.Errorf("recipient %s: %v", r, err)
		}
	}
	block, err := ssh.MarshalPrivateKey(curve, "ann")
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "id_ecdsa")
	if err := os.WriteFile(other, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{file: true, plain: true, locked: true, filepath.Join(t.TempDir(), "elsewhere"): true, other: false, t.TempDir(): false} {
		if err := sealed.CheckIdentity(path); (err == nil) != ok {
			t.Errorf("identity file %s: %v", path, err)
		}
	}
}
