package hosttest

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// User may log in to a [Server].
type User struct {
	Password string // by the password method; with Interactive by keyboard-interactive
	Keys     []ssh.PublicKey
	// Interactive asks for the password by keyboard-interactive only.
	Interactive bool
}

// ServerOptions of a [Server]. The zero value lets nobody in.
type ServerOptions struct {
	Users map[string]User
	// HostKeys; none makes an ed25519 one.
	HostKeys []ssh.Signer
	// Bin is put before PATH: a place for a fake sudo.
	Bin string
	// Shell is the users' login shell; "" is /bin/sh. It is run with -c, and Env's HOME is where it finds its rc files.
	Shell string
	// Env is added to the commands' environment.
	Env []string
	// NoForwarding: as an sshd_config may have it.
	NoForwarding bool
	// MaxSessions at once on one connection; 0 is 10.
	MaxSessions int
	// MaxAuthTries before the server hangs up; 0 is 6.
	MaxAuthTries int
	// RefuseLogins is how many logins are refused before any succeeds; DropConnections
	// how many connections are closed before a handshake, ahead of that: a host being born.
	RefuseLogins, DropConnections int
	// IgnoreExec takes exec requests and starts nothing, as a host out of processes does.
	IgnoreExec bool
	// Exec, if set, is given the command lines in place of /bin/sh, and returns the exit code. They are not
	// listed by [Server.Commands].
	Exec func(line string, stdin io.Reader, stdout, stderr io.Writer) int
	// Dial, if set, opens the connections that are forwarded.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Server is an SSH server in this process, on loopback. If its options do not
// say otherwise, commands are run by the real /bin/sh as the test's own user,
// forwarding is by real connections.
type Server struct {
	o        ServerOptions
	listener net.Listener

	mu       sync.Mutex
	conns    map[net.Conn]bool
	commands []string
	freeze   chan struct{} // not nil: frozen, closed to go on
	closed   bool
	procs    sync.WaitGroup

	accepted, attempts, refused atomic.Int32
}

// NewServer starts a server that ends with the test.
func NewServer(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	if len(o.HostKeys) == 0 {
		o.HostKeys = []ssh.Signer{NewKey(t)}
	}
	s, err := Serve(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Serve starts a server, which has host keys, until Close.
func Serve(o ServerOptions) (*Server, error) {
	if o.MaxSessions == 0 {
		o.MaxSessions = 10
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, listener: l, conns: map[net.Conn]bool{}}
	go s.serve()
	return s, nil
}

// Close ends the server, its connections and its commands.
func (s *Server) Close() {
	s.listener.Close()
	s.mu.Lock()
	s.closed = true // nothing is started any more
	s.mu.Unlock()
	s.Unfreeze()
	s.Cut()
	s.procs.Wait()
}

// NewKey makes an ed25519 key.
func NewKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// Addr is where it listens, "127.0.0.1:port".
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Port it listens on.
func (s *Server) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// KnownHosts are the lines for a known_hosts file, under a name ("" is 127.0.0.1) and the port.
func (s *Server) KnownHosts(name string) string {
	at := net.JoinHostPort(cmp.Or(name, "127.0.0.1"), fmt.Sprint(s.Port()))
	var b strings.Builder
	for _, k := range s.o.HostKeys {
		b.WriteString(knownhosts.Line([]string{at}, k.PublicKey()) + "\n")
	}
	return b.String()
}

// Cut ends all connections at once, without a word.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// Freeze keeps all connections open and lets nothing through any more, in
// either direction, as a network that drops everything does.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.freeze == nil {
		s.freeze = make(chan struct{})
	}
}

// Unfreeze lets things through again.
func (s *Server) Unfreeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.freeze != nil {
		close(s.freeze)
		s.freeze = nil
	}
}

// Commands lists the command lines so far.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Refused counts the sessions that were refused for MaxSessions.
func (s *Server) Refused() int { return int(s.refused.Load()) }

// Connections counts the connections so far.
func (s *Server) Connections() int { return int(s.accepted.Load()) }

// Attempts counts the passwords that were tried.
func (s *Server) Attempts() int { return int(s.attempts.Load()) }

func (s *Server) wait() {
	s.mu.Lock()
	gate := s.freeze
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

// gated is a connection that can be frozen.
type gated struct {
	net.Conn
	s *Server
}

func (g *gated) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	g.s.wait()
	return n, err
}

func (g *gated) Write(p []byte) (int, error) {
	g.s.wait()
	return g.Conn.Write(p)
}

func (s *Server) serve() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.accepted.Add(1)
		s.mu.Lock()
		drop := s.o.DropConnections > 0
		if drop {
			s.o.DropConnections--
		} else {
			s.conns[c] = true
		}
		s.mu.Unlock()
		if drop {
			c.Close()
			continue
		}
		go s.connection(&gated{c, s})
	}
}

func (s *Server) config() *ssh.ServerConfig {
	c := &ssh.ServerConfig{MaxAuthTries: s.o.MaxAuthTries}
	for _, k := range s.o.HostKeys {
		c.AddHostKey(k)
	}
	refused := errors.New("refused")
	password := func(m ssh.ConnMetadata, given string, interactive bool) (*ssh.Permissions, error) {
		s.attempts.Add(1)
		u := s.o.Users[m.User()]
		if u.Password == "" || u.Interactive != interactive || given != u.Password || s.refuse() {
			return nil, refused
		}
		return nil, nil
	}
	var byPassword, byQuestion bool
	for _, u := range s.o.Users {
		byPassword = byPassword || u.Password != "" && !u.Interactive
		byQuestion = byQuestion || u.Interactive
	}
	if byPassword {
		c.PasswordCallback = func(m ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			return password(m, string(p), false)
		}
	}
	if byQuestion {
		c.KeyboardInteractiveCallback = func(m ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 {
				return nil, refused
			}
			return password(m, answers[0], true)
		}
	}
	c.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		for _, k := range s.o.Users[m.User()].Keys {
			if string(k.Marshal()) == string(key.Marshal()) && !s.refuse() {
				return nil, nil
			}
		}
		return nil, refused
	}
	return c
}

func (s *Server) refuse() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.o.RefuseLogins > 0 {
		s.o.RefuseLogins--
		return true
	}
	return false
}

func (s *Server) connection(c *gated) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c.Conn)
		s.mu.Unlock()
	}()
	conn, channels, requests, err := ssh.NewServerConn(c, s.config())
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	gone := make(chan struct{})
	go func() { _ = conn.Wait(); close(gone) }()
	sessions := make(chan struct{}, s.o.MaxSessions)
	for n := range channels {
		switch n.ChannelType() {
		case "session":
			select {
			case sessions <- struct{}{}:
			default:
				s.refused.Add(1)
				_ = n.Reject(ssh.ConnectionFailed, "open failed")
				continue
			}
			channel, reqs, err := n.Accept()
			if err != nil {
				return
			}
			go s.session(channel, reqs, c.RemoteAddr(), gone, func() { <-sessions })
		case "direct-tcpip":
			go s.forward(n)
		default:
			_ = n.Reject(ssh.UnknownChannelType, "unknown")
		}
	}
}

func (s *Server) forward(n ssh.NewChannel) {
	if s.o.NoForwarding {
		_ = n.Reject(ssh.Prohibited, "administratively prohibited")
		return
	}
	var to struct {
		Host     string
		Port     uint32
		From     string
		FromPort uint32
	}
	if err := ssh.Unmarshal(n.ExtraData(), &to); err != nil {
		_ = n.Reject(ssh.ConnectionFailed, "bad request")
		return
	}
	out, err := s.o.Dial(context.Background(), "tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port)))
	if err != nil {
		text := "Connection failed"
		if errors.Is(err, syscall.ECONNREFUSED) {
			text = "Connection refused" // as OpenSSH says
		}
		_ = n.Reject(ssh.ConnectionFailed, text)
		return
	}
	defer out.Close()
	channel, reqs, err := n.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	go ssh.DiscardRequests(reqs)
	go func() {
		_, _ = io.Copy(out, channel)
		if half, ok := out.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		} else {
			out.Close()
		}
	}()
	_, _ = io.Copy(channel, out)
}

// session serves one channel: a command; free gives its place to another.
func (s *Server) session(channel ssh.Channel, reqs <-chan *ssh.Request, remote net.Addr, gone <-chan struct{}, free func()) {
	defer channel.Close()
	defer free() // before the client learns that it is over
	busy := false
	over := make(chan struct{})
	for {
		select {
		case <-over:
			return
		case r, ok := <-reqs:
			if !ok {
				if busy {
					<-over
				}
				return
			}
			var text struct{ Value string }
			good := !busy && ssh.Unmarshal(r.Payload, &text) == nil
			switch {
			case good && r.Type == "exec" && s.o.IgnoreExec && text.Value != "true":
				good = false
			case good && r.Type == "exec":
				s.mu.Lock()
				if good = !s.closed; good {
					if s.o.Exec == nil {
						s.commands = append(s.commands, text.Value)
					}
					s.procs.Add(1)
				}
				s.mu.Unlock()
				if !good {
					break
				}
				busy = true
				go func() { defer s.procs.Done(); defer close(over); s.run(channel, text.Value, remote, gone) }()
			default:
				good = false
			}
			if r.WantReply {
				_ = r.Reply(good, nil)
			}
		}
	}
}

// run is one command; it ends with its connection.
func (s *Server) run(channel ssh.Channel, line string, remote net.Addr, gone <-chan struct{}) {
	if s.o.Exec != nil {
		exited(channel, s.o.Exec(line, channel, channel, channel.Stderr()))
		return
	}
	host, port, _ := net.SplitHostPort(remote.String())
	cmd := exec.Command(cmp.Or(s.o.Shell, "/bin/sh"), "-c", line)
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if s.o.Bin != "" {
		path = s.o.Bin + ":" + path
	}
	cmd.Env = append([]string{"PATH=" + path, fmt.Sprintf("SSH_CONNECTION=%s %s 127.0.0.1 %d", host, port, s.Port())}, s.o.Env...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		exited(channel, 255)
		return
	}
	go func() {
		_, _ = io.Copy(in, channel)
		in.Close()
	}()
	ended := make(chan struct{})
	go func() {
		select {
		case <-ended:
			return
		case <-gone:
			in.Close() // as sshd: what reads its input ends by itself
		}
		select {
		case <-ended:
		case <-time.After(time.Second): // a test leaves nothing running
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}()
	err = cmd.Wait()
	close(ended)
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if code < 0 {
		_, _ = channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal string
			Core   bool
			Error  string
			Lang   string
		}{"KILL", false, "", ""}))
		return
	}
	exited(channel, code)
}

func exited(channel ssh.Channel, code int) {
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)}))
}

// FakeSudo writes a sudo into a folder to be put on PATH, and returns the folder and
// the file that it counts its password prompts in, a line for each; beside it, with
// ".argv" added, is what it was called with. password "" wants
// none; refuse, if not "", is all that it says before it fails. It runs the
// command as whoever calls it, with SUDO_UID set and SSH_CONNECTION dropped, as sudo does.
func FakeSudo(t testing.TB, password, refuse string) (bin, prompts string) {
	t.Helper()
	dir := t.TempDir()
	prompts = filepath.Join(dir, "prompts")
	script := `#!/bin/sh
argv=$*
stdin= prompt=
while :; do
  case $1 in -n) ;; -S) stdin=yes ;; -p) prompt=$2; shift ;; --) shift; break ;; *) break ;; esac
  shift
done
unset SSH_CONNECTION
` + fmt.Sprintf("want=%s refuse=%s prompts=%s\n", shellQuote(password), shellQuote(refuse), shellQuote(prompts)) + `
printf '%s\n' "$argv" >>"$prompts.argv"
if [ -n "$refuse" ]; then printf '%s\n' "$refuse" >&2; exit 1; fi
if [ -n "$want" ]; then
  [ -n "$stdin" ] || { echo 'sudo: a password is required' >&2; exit 1; }
  for try in 1 2 3; do
    printf %s "$prompt" >&2
    IFS= read -r given || { echo 'sudo: no password was provided' >&2; echo "sudo: $((try - 1)) incorrect password attempt" >&2; exit 1; }
    echo "$try" >>"$prompts"
    [ "$given" != "$want" ] || break
    [ $try -lt 3 ] || { echo 'sudo: 3 incorrect password attempts' >&2; exit 1; }
    echo 'Sorry, try again.' >&2
  done
fi
SUDO_UID=$(id -u) exec "$@"
`
	if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, prompts
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
