package ssh

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"quorate/provision/host/hosttest"
)

// hostCertificate is a host's key with a certificate for 127.0.0.1.
func hostCertificate(t *testing.T, key, authority ssh.Signer, principal string) ssh.Signer {
	t.Helper()
	c := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{principal}, ValidBefore: ssh.CertTimeInfinity}
	if err := c.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewCertSigner(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func line(k ssh.Signer) string { return string(ssh.MarshalAuthorizedKey(k.PublicKey())) }

func TestAuthorities(t *testing.T) {
	t.Parallel()
	ca, key := hosttest.NewKey(t), ecKey(t)
	certified := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), HostKeys: []ssh.Signer{key, hostCertificate(t, key, ca, "127.0.0.1")}})
	misnamed := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), HostKeys: []ssh.Signer{key, hostCertificate(t, key, ca, "other.example")}})
	plain := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), HostKeys: []ssh.Signer{key}})
	for name, c := range map[string]struct {
		server *hosttest.Server
		known  string // KEY is the host's, CA the authority's, AT the host's name in the file
		words  string // of the refusal
	}{
		"by the authority":                        {certified, "@cert-authority AT CA", ""},
		"by the authority, at any port":           {certified, "@cert-authority * CA", ""},
		"an authority for others":                 {certified, "@cert-authority *.example CA\nAT KEY", ""},
		"an authority for others, and no key":     {certified, "@cert-authority *.example CA", "not known"},
		"no certificate, and a known key":         {plain, "@cert-authority * CA\nAT KEY", ""},
		"no certificate, and no known key":        {plain, "@cert-authority AT CA", "not known"},
		"a wrong certificate, and a known key":    {misnamed, "@cert-authority AT CA\nAT KEY", ""},
		"a wrong certificate, and no known key":   {misnamed, "@cert-authority AT CA", "its certificate is not accepted"},
		"a wrong certificate, and another key":    {misnamed, "@cert-authority AT CA\nAT OTHER", "changed"},
		"a revoked authority":                     {certified, "@cert-authority AT CA\nAT KEY\n@revoked * CA", "revoked"},
		"a revoked key of an accepted authority":  {certified, "@cert-authority AT CA\n@revoked * KEY", "revoked"},
		"known without its port":                  {plain, "127.0.0.1 KEY", ""},
		"known without its port, by another key":  {plain, "127.0.0.1 OTHER", "not known"},
		"known at its port, and not at another's": {plain, "AT OTHER\n127.0.0.1 KEY", "changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, c.server, "root")
			b.put(t, ".ssh/known_hosts", strings.NewReplacer("KEY", line(key), "CA", line(ca), "OTHER", line(hosttest.NewKey(t)),
				"AT", fmt.Sprintf("[127.0.0.1]:%d", c.server.Port())).Replace(c.known)+"\n")
			_, err := b.dial(t)
			if c.words != "" {
				unreachable(t, err, c.words)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKnownHostsFiles(t *testing.T) {
	t.Parallel()
	key := hosttest.NewKey(t)
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), HostKeys: []ssh.Signer{key, ecKey(t)}})
	known := fmt.Sprintf("[127.0.0.1]:%d %s", s.Port(), line(key))
	other := fmt.Sprintf("[127.0.0.1]:%d %s", s.Port(), line(hosttest.NewKey(t)))
	open := func(t *testing.T, config string) *box {
		b := newBox(t, s, "root")
		b.put(t, ".ssh/known_hosts", "")
		b.put(t, ".ssh/config", config)
		return b
	}
	t.Run("the system's, beside a file of the connection", func(t *testing.T) {
		b := open(t, "")
		b.c.KnownHostsFile = b.put(t, "mine", "")
		b.put(t, "etc/ssh_known_hosts", known)
		b.mustDial(t)
	})
	t.Run("the system's, beside one of ssh_config", func(t *testing.T) {
		b := open(t, "UserKnownHostsFile ~/nowhere none.example\n")
		b.put(t, "etc/ssh_known_hosts2", known)
		b.mustDial(t)
		b.put(t, ".ssh/config", "UserKnownHostsFile ~/nowhere\nGlobalKnownHostsFile none\n")
		_, err := b.dial(t)
		unreachable(t, err, "not known")
	})
	t.Run("no checking still refuses a changed key", func(t *testing.T) {
		for _, word := range []string{"no", "off", "false", "accept-new"} {
			b := open(t, "StrictHostKeyChecking "+word+"\n")
			b.put(t, ".ssh/known_hosts", other)
			_, err := b.dial(t)
			unreachable(t, err, "changed")
			b.put(t, ".ssh/known_hosts", "")
			b.mustDial(t)
			if text, _ := os.ReadFile(filepath.Join(b.home, ".ssh/known_hosts")); string(text) != known {
				t.Errorf("%s recorded %q", word, text)
			}
		}
		b := open(t, "StrictHostKeyChecking ask\n")
		_, err := b.dial(t)
		unreachable(t, err, "not known")
	})
	t.Run("nowhere to record", func(t *testing.T) {
		for _, file := range []string{"/dev/null", "none"} {
			b := open(t, "StrictHostKeyChecking no\nUserKnownHostsFile "+file+"\n")
			b.mustDial(t)
			if text, _ := os.ReadFile(filepath.Join(b.home, ".ssh/known_hosts")); len(text) > 0 {
				t.Errorf("%s recorded %q", file, text)
			}
		}
	})
	t.Run("revoked by a list", func(t *testing.T) {
		b := open(t, "RevokedHostKeys ~/revoked\n")
		b.put(t, ".ssh/known_hosts", known)
		_, err := b.dial(t)
		unreachable(t, err, "revoked host keys", "RevokedHostKeys none")
		b.put(t, "revoked", "# none yet\n")
		b.mustDial(t)
		file := b.put(t, "revoked", "# one\n"+line(key))
		_, err = b.dial(t)
		unreachable(t, err, "revoked", file+":2")
		b.c.HostKeys = []string{ssh.FingerprintSHA256(key.PublicKey())}
		_, err = b.dial(t)
		unreachable(t, err, "revoked")
		b.put(t, "revoked", "SSHKRL\n\x00\x00")
		_, err = b.dial(t)
		unreachable(t, err, "KRL")
	})
	t.Run("algorithms of host keys", func(t *testing.T) {
		b := open(t, "HostKeyAlgorithms ecdsa-sha2-nistp256,none-such\n")
		b.put(t, ".ssh/known_hosts", known)
		_, err := b.dial(t)
		unreachable(t, err, "changed", "ecdsa-sha2-nistp256")
		b.put(t, ".ssh/config", "HostKeyAlgorithms +ssh-rsa\n")
		b.mustDial(t)
		b.put(t, ".ssh/config", "HostKeyAlgorithms -ssh-ed25519\n")
		_, err = b.dial(t)
		unreachable(t, err, "changed", "ecdsa-sha2-nistp256")
		b.put(t, ".ssh/config", "HostKeyAlgorithms -ssh-*,ecdsa*,rsa*\n")
		_, err = b.dial(t)
		if err == nil {
			t.Error("a kind of key was taken that is switched off")
		}
	})
	t.Run("algorithms of the connection", func(t *testing.T) {
		b := open(t, "Ciphers aes256-ctr,none-such\nMACs hmac-sha2-512\nKexAlgorithms ^curve25519-sha256\n")
		b.put(t, ".ssh/known_hosts", known)
		b.mustDial(t)
		b.put(t, ".ssh/config", "Ciphers none-such\n")
		_, err := b.dial(t)
		unreachable(t, err, "none of them is supported", "Supported are: ")
	})
	t.Run("addresses", func(t *testing.T) {
		b := open(t, "AddressFamily inet\nBindAddress 127.0.0.1\n")
		b.put(t, ".ssh/known_hosts", known)
		b.mustDial(t)
		b.put(t, ".ssh/config", "AddressFamily inet6\n")
		_, err := b.dial(t)
		unreachable(t, err, "no suitable address")
	})
}
