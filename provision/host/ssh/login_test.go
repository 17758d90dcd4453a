package ssh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"quorate/provision/host/hosttest"
)

func TestLogins(t *testing.T) {
	t.Parallel()
	key := hosttest.NewKey(t)
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: map[string]hosttest.User{
		"pw": {Password: "secret"}, "ask": {Password: "secret", Interactive: true}, "key": {Keys: []ssh.PublicKey{key.PublicKey()}},
	}})
	for _, user := range []string{"pw", "ask"} {
		b := newBox(t, s, user)
		b.mustDial(t)
		b.c.Password = "secret2"
		before := s.Attempts()
		b.c.WaitForHost = time.Hour
		_, err := b.dial(t)
		unreachable(t, err, "login as", user, "the password")
		if n := s.Attempts() - before; n > 2 {
			t.Errorf("a wrong password was sent %d times", n)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	plain, plainPEM := keyPair(t, "")
	locked, lockedPEM := keyPair(t, "opensesame")
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: map[string]hosttest.User{
		"root": {Keys: []ssh.PublicKey{plain, locked}}, "locked": {Keys: []ssh.PublicKey{locked}},
	}})
	open := func(user string) *box {
		b := newBox(t, s, user)
		b.c.Password = ""
		return b
	}
	t.Run("file", func(t *testing.T) {
		b := open("root")
		b.c.IdentityFile = []string{b.put(t, "keys/mine", plainPEM)}
		b.mustDial(t)
	})
	t.Run("default file", func(t *testing.T) {
		b := open("root")
		b.put(t, ".ssh/id_ed25519", plainPEM)
		b.mustDial(t)
	})
	t.Run("home is spelled out", func(t *testing.T) {
		b := open("root")
		b.put(t, "keys/mine", plainPEM)
		b.c.IdentityFile = []string{"~/keys/mine"}
		b.mustDial(t)
	})
	t.Run("passphrase", func(t *testing.T) {
		b := open("locked")
		b.c.IdentityFile, b.c.Passphrase = []string{b.put(t, "k", lockedPEM)}, "opensesame"
		b.mustDial(t)
	})
	t.Run("prompt", func(t *testing.T) {
		b := open("locked")
		b.c.IdentityFile = []string{b.put(t, "k", lockedPEM)}
		asked := ""
		b.c.Prompt = func(_ context.Context, file string) (string, error) { asked = file; return "opensesame", nil }
		b.mustDial(t)
		if asked != b.c.IdentityFile[0] {
			t.Errorf("asked for %q", asked)
		}
	})
	t.Run("prompt only if the host takes the key", func(t *testing.T) {
		b := open("root")
		_, other := keyPair(t, "x")
		b.c.IdentityFile = []string{b.put(t, "other", other), b.put(t, "mine", plainPEM)}
		b.c.Prompt = func(context.Context, string) (string, error) { t.Error("asked"); return "", errors.New("no") }
		b.mustDial(t)
	})
	t.Run("wrong passphrase", func(t *testing.T) {
		b := open("locked")
		b.c.IdentityFile, b.c.Passphrase, b.c.WaitForHost = []string{b.put(t, "k", lockedPEM)}, "secret", time.Hour
		_, err := b.dial(t)
		unreachable(t, err, "passphrase is wrong", b.c.IdentityFile[0])
	})
	t.Run("no passphrase", func(t *testing.T) {
		b := open("locked")
		b.c.IdentityFile, b.c.WaitForHost = []string{b.put(t, "k", lockedPEM)}, time.Hour
		_, err := b.dial(t)
		unreachable(t, err, "it is encrypted", "Set passphrase")
	})
	t.Run("missing file", func(t *testing.T) {
		b := open("root")
		b.c.IdentityFile = []string{filepath.Join(b.home, "nowhere")}
		_, err := b.dial(t)
		unreachable(t, err, "nowhere", "no such file")
	})
	t.Run("agent", func(t *testing.T) {
		b := open("locked")
		b.c.Agent, b.c.AuthSock = true, agentWith(t, lockedPEM, "opensesame")
		b.mustDial(t)
		b.c.Agent = false
		_, err := b.dial(t)
		unreachable(t, err, "nothing could be offered")
	})
	t.Run("the right key of an agent with many", func(t *testing.T) {
		b := open("root")
		b.c.Agent, b.c.AuthSock = true, agentWith(t, "", "")
		b.c.IdentityFile = []string{b.put(t, "mine", plainPEM)}
		b.mustDial(t)
		b.c.IdentityFile = nil
		_, err := b.dial(t)
		unreachable(t, err, "more keys were not offered", "identity_file")
	})
	t.Run("the agent's key by its public half", func(t *testing.T) {
		b := open("locked")
		public := string(ssh.MarshalAuthorizedKey(locked))
		b.c.Agent, b.c.AuthSock = true, agentWith(t, lockedPEM, "opensesame")
		b.put(t, "k.pub", public)
		for _, name := range []string{"k.pub", "k"} { // k itself is not there
			b.put(t, ".ssh/config", "IdentitiesOnly yes\nIdentityFile ~/"+name+"\n")
			b.mustDial(t)
		}
		b.c.IdentityFile = []string{filepath.Join(b.home, "k.pub")}
		b.mustDial(t)
		b.c.Agent = false
		_, err := b.dial(t)
		unreachable(t, err, "is a public key, and the agent does not hold the key")
		b.c.Agent = true
		b.put(t, ".ssh/config", "IdentityAgent none\n")
		_, err = b.dial(t)
		unreachable(t, err, "is a public key")
		b.put(t, ".ssh/config", "IdentityAgent ${SOCKET}\n")
		socket := b.c.AuthSock
		b.c.AuthSock, b.c.Env = "", func(string) (string, bool) { return socket, true }
		b.mustDial(t)
	})
	t.Run("a certificate of its own file", func(t *testing.T) {
		text := certificate(t, plain)
		cert, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		s := hosttest.NewServer(t, hosttest.ServerOptions{Users: map[string]hosttest.User{"root": {Keys: []ssh.PublicKey{cert}}}})
		b := newBox(t, s, "root")
		b.c.Password = ""
		b.c.IdentityFile = []string{b.put(t, "mine", plainPEM)}
		_, err = b.dial(t)
		unreachable(t, err, "refused")
		b.put(t, "elsewhere.pub", text)
		b.put(t, ".ssh/config", "CertificateFile ~/elsewhere.pub\n")
		b.mustDial(t)
		b.put(t, ".ssh/config", "")
		b.put(t, "mine-cert.pub", text)
		b.mustDial(t)
	})
	t.Run("certificate", func(t *testing.T) {
		b := open("root")
		b.c.IdentityFile = []string{b.put(t, "mine", plainPEM)}
		b.put(t, "mine-cert.pub", certificate(t, plain)) // not accepted: the plain key follows
		b.mustDial(t)
	})
}

func TestHostKeys(t *testing.T) {
	t.Parallel()
	ed, ec, rsaKey := hosttest.NewKey(t), ecKey(t), rsaSigner(t)
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), HostKeys: []ssh.Signer{ed, ec, rsaKey}})
	line := func(k ssh.Signer) string {
		return fmt.Sprintf("[127.0.0.1]:%d %s", s.Port(), ssh.MarshalAuthorizedKey(k.PublicKey()))
	}
	print := func(k ssh.Signer) string { return ssh.FingerprintSHA256(k.PublicKey()) }
	for name, key := range map[string]ssh.Signer{"ed25519": ed, "ecdsa": ec, "rsa": rsaKey} {
		t.Run("known by its "+name+" key", func(t *testing.T) {
			b := newBox(t, s, "root")
			b.put(t, ".ssh/known_hosts", line(key))
			b.mustDial(t)
		})
		t.Run("pinned by its "+name+" key", func(t *testing.T) {
			b := newBox(t, s, "root")
			b.c.KnownHostsFile = "/nonexistent"
			b.c.HostKeys = []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))}
			b.mustDial(t)
		})
		t.Run("pinned by the fingerprint of its "+name+" key", func(t *testing.T) {
			b := newBox(t, s, "root")
			b.c.HostKeys = []string{print(key)}
			b.mustDial(t)
		})
	}
	other := hosttest.NewKey(t)
	t.Run("changed", func(t *testing.T) {
		b := newBox(t, s, "root")
		file := b.put(t, ".ssh/known_hosts", "# comment\n"+line(other))
		b.c.WaitForHost, b.c.StrictHostKeyChecking = time.Hour, "accept-new"
		before := s.Attempts()
		_, err := b.dial(t)
		unreachable(t, err, "changed", print(ed), print(other), file+":2", "ssh-keygen -R")
		if s.Attempts() != before {
			t.Error("the password was sent to a host with another key")
		}
	})
	t.Run("pinned to another", func(t *testing.T) {
		for _, pin := range []string{print(other), string(ssh.MarshalAuthorizedKey(other.PublicKey()))} {
			b := newBox(t, s, "root")
			b.c.HostKeys, b.c.WaitForHost = []string{pin}, time.Hour
			_, err := b.dial(t)
			unreachable(t, err, "not the pinned one", "host_keys")
		}
	})
	t.Run("unknown", func(t *testing.T) {
		b := newBox(t, s, "root")
		b.put(t, ".ssh/known_hosts", "")
		_, err := b.dial(t)
		unreachable(t, err, "not known", print(ed), "accept-new")
		if text, _ := os.ReadFile(filepath.Join(b.home, ".ssh/known_hosts")); len(text) > 0 {
			t.Errorf("it was recorded: %s", text)
		}
	})
	t.Run("accepted when new", func(t *testing.T) {
		b := newBox(t, s, "root")
		b.c.StrictHostKeyChecking, b.c.KnownHostsFile = "accept-new", filepath.Join(b.home, "new", "known")
		b.mustDial(t)
		b.put(t, "new/known", strings.TrimSuffix(line(other), "\n")) // for another port, without a line's end
		text := strings.Replace(strings.TrimSuffix(line(other), "\n"), fmt.Sprint(s.Port()), "1", 1)
		b.put(t, "new/known", text)
		b.mustDial(t)
		b.c.StrictHostKeyChecking = "yes"
		b.mustDial(t)
		if got, _ := os.ReadFile(b.c.KnownHostsFile); strings.Count(string(got), "\n") != 2 || !strings.HasPrefix(string(got), text+"\n") {
			t.Errorf("the file reads %q", got)
		}
	})
	t.Run("lines that cannot be read", func(t *testing.T) {
		b := newBox(t, s, "root")
		const before = "this is no line\n# comment\n[127.0.0.1]:1 ssh-yet-to-come AAAA\n\n"
		b.put(t, ".ssh/known_hosts", before+line(ed)+"@unknown x y\n")
		b.mustDial(t)
		b.put(t, ".ssh/known_hosts", before+line(other)+"@unknown x y\n")
		_, err := b.dial(t)
		unreachable(t, err, "changed", filepath.Join(b.home, ".ssh/known_hosts:5"), "-f "+filepath.Join(b.home, ".ssh/known_hosts,"))
		b.put(t, ".ssh/known_hosts", before+"@revoked * "+string(ssh.MarshalAuthorizedKey(ed.PublicKey()))+line(ed)+"x")
		_, err = b.dial(t)
		unreachable(t, err, "revoked", filepath.Join(b.home, ".ssh/known_hosts:5"))
		b.put(t, ".ssh/known_hosts", before)
		_, err = b.dial(t)
		unreachable(t, err, "not known (2 lines cannot be read, the first is "+filepath.Join(b.home, ".ssh/known_hosts:1)"))
	})
	t.Run("a file that cannot be read", func(t *testing.T) {
		b := newBox(t, s, "root")
		b.c.KnownHostsFile = b.home
		_, err := b.dial(t)
		unreachable(t, err, "cannot read the known hosts", b.home)
	})
	t.Run("broken pin", func(t *testing.T) {
		b := newBox(t, s, "root")
		b.c.HostKeys = []string{"ssh-rsa nonsense"}
		_, err := b.dial(t)
		unreachable(t, err, "ssh-rsa nonsense", "SHA256:")
	})
	t.Run("revoked", func(t *testing.T) {
		b := newBox(t, s, "root")
		b.put(t, ".ssh/known_hosts", line(ed)+"@revoked * "+string(ssh.MarshalAuthorizedKey(ed.PublicKey())))
		_, err := b.dial(t)
		unreachable(t, err, "revoked")
	})
}
