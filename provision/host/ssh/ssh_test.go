package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
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
		Sudo: "never", ConnectTimeout: 20 * time.Second, Now: time.Now, etc: filepath.Join(home, "etc"),
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
		"few sessions":  {user: "root", server: hosttest.ServerOptions{MaxSessions: 4}},
		"two sessions":  {user: "root", server: hosttest.ServerOptions{MaxSessions: 2}},
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
					Dir: filepath.Join(root, "suite"), Elsewhere: hosttest.Shm(t), Talker: "127.0.0.1:" + port, ListeningPort: server.Port(),
					NoServices: "systemd is the lab's", TwoSessions: o.server.MaxSessions == 2,
				}
				if os.Geteuid() == 0 {
					f.Owner = "daemon:bin"
				}
				return f
			})
		})
	}
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
