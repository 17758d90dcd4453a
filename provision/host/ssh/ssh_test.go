package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// box is an operator's home, and a way to the server.
type box struct {
	home string
	c    Config
}

// newBox knows the server, and logs in as user with a password.
func newBox(t *testing.T, s *hosttest.Server, user string) *box {
	t.Helper()
	home := t.TempDir()
	b := &box{home: home, c: Config{
		Name: "etcd1", Host: "127.0.0.1", Port: s.Port(), User: user, Password: "secret", Home: home, LocalUser: "me",
		Sudo: "never", ConnectTimeout: 20 * time.Second, Now: time.Now,
	}}
	b.put(t, ".ssh/known_hosts", s.KnownHosts(""))
	return b
}

func (b *box) put(t *testing.T, name, content string) string {
	t.Helper()
	p := filepath.Join(b.home, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (b *box) dial(t *testing.T) (*Conn, error) {
	t.Helper()
	c, err := Dial(t.Context(), b.c)
	if c != nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func (b *box) mustDial(t *testing.T) *Conn {
	t.Helper()
	c, err := b.dial(t)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// unreachable checks an error of Dial: it is typed, names host, address and
// all the words, and carries no password.
func unreachable(t *testing.T, err error, words ...string) {
	t.Helper()
	var u *host.UnreachableError
	if !errors.As(err, &u) {
		t.Fatalf("got %v", err)
	}
	for _, w := range append(words, `host "etcd1"`) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error lacks %q: %v", w, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error carries the password: %v", err)
	}
}

func users() map[string]hosttest.User {
	return map[string]hosttest.User{"root": {Password: "secret"}, "ops": {Password: "secret"}}
}

func TestSuite(t *testing.T) {
	for name, o := range map[string]struct {
		server hosttest.ServerOptions
		sudo   string // the password it wants
		user   string
	}{
		"root":          {user: "root"},
		"no sftp":       {user: "root", server: hosttest.ServerOptions{NoSFTP: true}},
		"few sessions":  {user: "root", server: hosttest.ServerOptions{MaxSessions: 4}},
		"sudo":          {user: "ops"},
		"sudo password": {user: "ops", sudo: "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.server.Users = users()
			o.server.Bin, _ = hosttest.FakeSudo(t, o.sudo, "")
			server := hosttest.NewServer(t, o.server)
			_, port, _ := net.SplitHostPort(server.Addr())
			hosttest.Suite(t, func(t *testing.T) hosttest.Fixture {
				b := newBox(t, server, o.user)
				b.c.Sudo, b.c.KeepAlive = "auto", time.Second
				root := t.TempDir()
				f := hosttest.Fixture{
					Open: func(t *testing.T) host.Host {
						conn, err := Dial(t.Context(), b.c)
						if err != nil {
							t.Fatal(err)
						}
						return New(conn)
					},
					Dir: filepath.Join(root, "suite"), Talker: "127.0.0.1:" + port, ListeningPort: server.Port(),
					NoServices: "systemd is the lab's",
				}
				if os.Geteuid() == 0 {
					f.Owner = "daemon:bin"
				}
				return f
			})
		})
	}
}

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
	t.Run("broken file", func(t *testing.T) {
		b := newBox(t, s, "root")
		b.put(t, ".ssh/known_hosts", "this is no line\n")
		_, err := b.dial(t)
		unreachable(t, err, "known_hosts:1")
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

func TestWaitingForAHost(t *testing.T) {
	t.Parallel()
	key, pem := keyPair(t, "")
	s := hosttest.NewServer(t, hosttest.ServerOptions{
		Users: map[string]hosttest.User{"root": {Keys: []ssh.PublicKey{key}}}, DropConnections: 2, RefuseLogins: 1,
	})
	b := newBox(t, s, "root")
	b.c.Password, b.c.IdentityFile = "", []string{b.put(t, "k", pem)}
	var heard []int
	b.c.WaitForHost, b.c.Retrying = time.Minute, func(n int, cause error) { heard = append(heard, n) }
	refusals := 2
	b.c.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		if refusals > 0 {
			refusals--
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	b.mustDial(t)
	if fmt.Sprint(heard) != "[1 2 3 4 5]" {
		t.Errorf("attempts repeated: %v", heard)
	}
}

func TestNotWaiting(t *testing.T) {
	t.Parallel()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
	closed := func() int {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}()
	t.Run("one attempt unless told otherwise", func(t *testing.T) {
		b := newBox(t, s, "root")
		b.c.Port = closed
		b.c.Retrying = func(int, error) { t.Error("repeated") }
		_, err := b.dial(t)
		unreachable(t, err, "refused", fmt.Sprintf("root@127.0.0.1:%d", closed))
	})
	t.Run("a name that does not exist", func(t *testing.T) {
		b := newBox(t, s, "root")
		b.c.WaitForHost = time.Hour
		b.c.Dialer = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "nowhere", IsNotFound: true}
		}
		_, err := b.dial(t)
		unreachable(t, err, "no such host")
	})
	t.Run("cancelled", func(t *testing.T) {
		b := newBox(t, s, "root")
		b.c.Port, b.c.WaitForHost = closed, time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		b.c.Retrying = func(int, error) { cancel() }
		if _, err := Dial(ctx, b.c); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("silent host", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		b := newBox(t, s, "root")
		b.c.Port, b.c.ConnectTimeout = l.Addr().(*net.TCPAddr).Port, 50*time.Millisecond
		_, err = b.dial(t)
		unreachable(t, err, "no answer within 50ms")
	})
}

func TestBastion(t *testing.T) {
	t.Parallel()
	target := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
	key, pem := keyPair(t, "")
	outer := hosttest.NewServer(t, hosttest.ServerOptions{Users: map[string]hosttest.User{"jump": {Keys: []ssh.PublicKey{key}}}})
	inner := hosttest.NewServer(t, hosttest.ServerOptions{Users: map[string]hosttest.User{"jump": {Keys: []ssh.PublicKey{key}}}})
	open := func(t *testing.T) *box {
		b := newBox(t, target, "root")
		b.put(t, ".ssh/known_hosts", target.KnownHosts("")+outer.KnownHosts("")+inner.KnownHosts("localhost"))
		b.c.IdentityFile = []string{b.put(t, "k", pem)}
		b.c.ProxyJump = []string{fmt.Sprintf("jump@127.0.0.1:%d", outer.Port())}
		return b
	}
	t.Run("one", func(t *testing.T) {
		b := open(t)
		dialled := ""
		b.c.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled = address
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
		h := New(b.mustDial(t))
		if _, err := h.Run(t.Context(), host.Command{Argv: []string{"true"}}); err != nil {
			t.Fatal(err)
		}
		if dialled != outer.Addr() || outer.Attempts() != 0 {
			t.Errorf("dialled %s; the bastion got %d passwords", dialled, outer.Attempts())
		}
	})
	t.Run("two, by ssh_config", func(t *testing.T) {
		b := open(t)
		b.c.ProxyJump, b.c.Host, b.c.Port, b.c.User, b.c.IdentityFile = nil, "etcd", 0, "", nil
		b.put(t, ".ssh/config", fmt.Sprintf(`
Host etcd
  HostName 127.0.0.1
  Port %d
  User root
  ProxyJump jump@in
Host in
  HostName localhost
  Port %d
  IdentityFile ~/k
  ProxyJump out
Host out
  HostName 127.0.0.1
  User jump
  Port %d
  IdentityFile %%d/k
`, target.Port(), inner.Port(), outer.Port()))
		before := inner.Connections()
		b.mustDial(t)
		if inner.Connections() != before+1 {
			t.Error("the inner bastion was left out")
		}
	})
	t.Run("another host answers for the target", func(t *testing.T) {
		b := open(t)
		b.put(t, ".ssh/known_hosts", outer.KnownHosts("")+strings.ReplaceAll(outer.KnownHosts(""), fmt.Sprint(outer.Port()), fmt.Sprint(target.Port())))
		_, err := b.dial(t)
		unreachable(t, err, "changed")
	})
	t.Run("unknown bastion", func(t *testing.T) {
		b := open(t)
		b.put(t, ".ssh/known_hosts", target.KnownHosts(""))
		_, err := b.dial(t)
		unreachable(t, err, "bastion jump@127.0.0.1", "not known")
	})
	t.Run("forwarding forbidden", func(t *testing.T) {
		closed := hosttest.NewServer(t, hosttest.ServerOptions{Users: map[string]hosttest.User{"jump": {Keys: []ssh.PublicKey{key}}}, NoForwarding: true})
		b := open(t)
		b.put(t, ".ssh/known_hosts", target.KnownHosts("")+closed.KnownHosts(""))
		b.c.ProxyJump, b.c.WaitForHost = []string{fmt.Sprintf("jump@127.0.0.1:%d", closed.Port())}, time.Hour
		_, err := b.dial(t)
		unreachable(t, err, "AllowTcpForwarding")
	})
	t.Run("loop", func(t *testing.T) {
		b := open(t)
		b.c.ProxyJump = nil
		b.put(t, ".ssh/config", "Host *\n  ProxyJump a\n")
		_, err := b.dial(t)
		unreachable(t, err, "loop")
	})
}

func TestSudo(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]struct {
		want, refuse string // sudo's
		has          string // the operator's password
		words        []string
	}{
		"no password needed":           {},
		"a password nobody asked for":  {has: "sudopw"},
		"password":                     {want: "sudopw", has: "sudopw"},
		"wrong password":               {want: "sudopw", has: "other", words: []string{"password", "wrong", "sudo_password"}},
		"no password":                  {want: "sudopw", has: "", words: []string{"wants a password", "sudo_password"}},
		"not a sudoer":                 {refuse: "ops is not in the sudoers file.", words: []string{`user "ops" may not use sudo`}},
		"not a sudoer, with password":  {refuse: "ops is not in the sudoers file.", has: "x", words: []string{`user "ops" may not use sudo`}},
		"terminal wanted":              {refuse: "sudo: sorry, you must have a tty to run sudo", words: []string{"!requiretty"}},
		"something else is the matter": {refuse: "sudo: unable to open audit system", words: []string{"unable to open audit system"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bin, prompts := hosttest.FakeSudo(t, o.want, o.refuse)
			s := hosttest.NewServer(t, hosttest.ServerOptions{Users: map[string]hosttest.User{"ops": {Interactive: true, Password: "login"}}, Bin: bin})
			b := newBox(t, s, "ops")
			b.c.Password, b.c.Sudo, b.c.SudoPassword = "login", "auto", o.has
			if o.has == "" {
				b.c.Password = ""
				key, pem := keyPair(t, "")
				s = hosttest.NewServer(t, hosttest.ServerOptions{Users: map[string]hosttest.User{"ops": {Keys: []ssh.PublicKey{key}}}, Bin: bin})
				b.put(t, ".ssh/known_hosts", s.KnownHosts(""))
				b.c.Port, b.c.IdentityFile = s.Port(), []string{b.put(t, "k", pem)}
			}
			h := New(b.mustDial(t))
			in := "sudopw\nand more\n"
			for range 2 {
				r, err := h.Run(t.Context(), host.Command{Argv: []string{"sh", "-c", "cat; echo err >&2"}, Stdin: []byte(in)})
				if len(o.words) == 0 {
					if err != nil || string(r.Stdout) != in || string(r.Stderr) != "err\n" {
						t.Errorf("%q, %q, %v", r.Stdout, r.Stderr, err)
					}
					continue
				}
				if err == nil {
					t.Fatal("no error")
				}
				for _, w := range o.words {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("the error lacks %q: %v", w, err)
					}
				}
			}
			if asked, _ := os.ReadFile(prompts); strings.Contains(string(asked), "2") || o.words != nil && strings.Count(string(asked), "1") > 1 {
				t.Errorf("passwords were tried as often as this: %q", asked)
			}
			for _, c := range s.Commands() {
				if strings.Contains(c, "sudopw") || strings.Contains(c, "login") {
					t.Errorf("a password in a command line: %s", c)
				}
			}
		})
	}
	t.Run("no sudo at all", func(t *testing.T) {
		t.Parallel()
		s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Bin: t.TempDir()})
		b := newBox(t, s, "ops")
		b.c.Sudo = "auto"
		conn := b.mustDial(t)
		if err := conn.sudo.explain("env: 'sudo': No such file or directory", conn); !strings.Contains(err.Error(), "not installed") {
			t.Error(err)
		}
	})
}

func TestLosingTheConnection(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T) (*hosttest.Server, *Conn, host.Host) {
		s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
		b := newBox(t, s, "root")
		b.c.KeepAlive = 30 * time.Millisecond
		c := b.mustDial(t)
		return s, c, New(c)
	}
	for name, lose := range map[string]func(*hosttest.Server){"cut": (*hosttest.Server).Cut, "silent": (*hosttest.Server).Freeze} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, h := open(t)
			done := make(chan error, 2)
			dir := t.TempDir()
			if _, err := h.Lock(t.Context(), host.LockRequest{Path: dir + "/lock"}); err != nil {
				t.Fatal(err)
			}
			tunnel, err := h.DialContext(t.Context(), "tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, err := h.Run(t.Context(), host.Command{Argv: []string{"sleep", "600"}})
				done <- err
			}()
			go func() {
				_, err := io.Copy(io.Discard, tunnel)
				done <- fmt.Errorf("tunnel: %v", err)
			}()
			for len(s.Commands()) < 2 {
				time.Sleep(time.Millisecond)
			}
			lose(s)
			for range 2 {
				select {
				case err := <-done:
					var u *host.UnreachableError
					if !errors.As(err, &u) && !strings.Contains(err.Error(), "tunnel") {
						t.Errorf("got %v", err)
					}
				case <-time.After(time.Minute):
					t.Fatal("a call outlived its connection")
				}
			}
			var u *host.UnreachableError
			if _, err := h.Look(t.Context(), host.Query{}); !errors.As(err, &u) || !strings.Contains(err.Error(), "connection was lost") {
				t.Errorf("a look afterwards: %v", err)
			}
			if _, err := h.DialContext(t.Context(), "tcp", "127.0.0.1:1"); !errors.As(err, &u) {
				t.Errorf("dialling afterwards: %v", err)
			}
			if _, err := h.Upload(t.Context(), host.Upload{Path: dir + "/f", Blob: host.BytesBlob(nil)}); err == nil {
				t.Error("an upload afterwards went through")
			}
		})
	}
}

func TestOneRoundTripForACommand(t *testing.T) {
	t.Parallel()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
	b := newBox(t, s, "root")
	var deaf atomic.Bool
	release := make(chan struct{})
	b.c.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &halfDeaf{c, &deaf, release}, err
	}
	c := b.mustDial(t)
	<-c.spare.done
	mark := filepath.Join(t.TempDir(), "done")
	deaf.Store(true) // from here on nothing that the host says arrives
	result := make(chan error, 1)
	go func() {
		_, err := New(c).Run(t.Context(), host.Command{Argv: []string{"sh", "-c", `cat >"$1.part"; mv "$1.part" "$1"`, "x", mark}, Stdin: []byte("all of it")})
		result <- err
	}()
	for range 3000 {
		if text, err := os.ReadFile(mark); err == nil {
			if string(text) != "all of it" {
				t.Fatalf("the command got %q", text)
			}
			close(release)
			if err := <-result; err != nil {
				t.Fatal(err)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the command waits for more than one round trip")
}

// halfDeaf keeps what arrives to itself while deaf, until released.
type halfDeaf struct {
	net.Conn
	deaf    *atomic.Bool
	release chan struct{}
}

func (h *halfDeaf) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if h.deaf.Load() {
		<-h.release
	}
	return n, err
}

func TestACommandThatWasNotStarted(t *testing.T) {
	t.Parallel()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), IgnoreExec: true})
	c := newBox(t, s, "root").mustDial(t)
	c.silence = 20 * time.Millisecond
	if _, err := New(c).Run(t.Context(), host.Command{Argv: []string{"id"}}); !errors.Is(err, errNotStarted) {
		t.Fatalf("got %v", err)
	}
	s = hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
	c = newBox(t, s, "root").mustDial(t)
	c.silence = 20 * time.Millisecond
	if _, err := New(c).Run(t.Context(), host.Command{Argv: []string{"sleep", "0.3"}}); err != nil {
		t.Fatalf("a silent command: %v", err)
	}
}

func TestForwardingForbidden(t *testing.T) {
	t.Parallel()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), NoForwarding: true})
	_, err := New(newBox(t, s, "root").mustDial(t)).DialContext(t.Context(), "tcp", "127.0.0.1:2379")
	if err == nil || !strings.Contains(err.Error(), "AllowTcpForwarding") {
		t.Fatal(err)
	}
}

func TestTunnelDeadlines(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
	conn, err := New(newBox(t, s, "root").mustDial(t)).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := errors.Join(conn.SetDeadline(time.Now().Add(time.Hour)), conn.SetReadDeadline(time.Now().Add(10*time.Millisecond))); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}
