package servertest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"quorate/kvserver/admin"
)

// Member is one member with its files, and its process while it runs.
type Member struct {
	Name                 string
	Address              string
	ClientPort, PeerPort int

	Dir, DataDir                        string
	ConfigFile, BootstrapFile, UnitFile string
	// MarkFile is what its start looks for. Nobody writes it but a test.
	MarkFile string
	// Etcd, if set, is the upstream binary to become.
	Etcd string

	cluster *Cluster
	cmd     *exec.Cmd
	ended   chan struct{}
	err     error
	log     lockedBuffer

	mu    sync.Mutex
	said  []string
	ready chan struct{}
}

// Endpoint is where the member answers clients.
func (m *Member) Endpoint() admin.Endpoint {
	return admin.Endpoint{Name: m.Name, Address: fmt.Sprintf("%s:%d", m.Address, m.ClientPort)}
}

// PeerURL of the member.
func (m *Member) PeerURL() string { return fmt.Sprintf("https://%s:%d", m.Address, m.PeerPort) }

// PID of the process.
func (m *Member) PID() int { return m.cmd.Process.Pid }

// Start starts the process: this test's own binary as kvserver.
func (m *Member) Start() {
	t := m.cluster.t
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"serve", "--config-file", m.ConfigFile, "--bootstrap-file", m.BootstrapFile, "--unit-file", m.UnitFile, "--mark", m.MarkFile}
	if m.Etcd != "" {
		args = append(args, "--etcd", m.Etcd)
	}
	m.cmd = exec.Command(exe, args...)
	m.cmd.Env = append(os.Environ(), serving+"=1", "NOTIFY_SOCKET="+m.listen())
	m.cmd.Stdout, m.cmd.Stderr = &m.log, &m.log
	m.ended = make(chan struct{})
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, ended := m.cmd, m.ended
	go func() {
		err := cmd.Wait()
		m.mu.Lock()
		m.err = err
		m.mu.Unlock()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("log of %s:\n%s", m.Name, tail(m.Log(), 40))
		}
	})
}

// listen is what a service manager listens on, for one start.
func (m *Member) listen() string {
	t := m.cluster.t
	t.Helper()
	dir, err := os.MkdirTemp("", "n") // short: a socket's path has little room
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	m.mu.Lock()
	m.said, m.ready = nil, ready
	m.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		var once sync.Once
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			lines := strings.Split(string(buf[:n]), "\n")
			m.mu.Lock()
			m.said = append(m.said, lines...)
			m.mu.Unlock()
			for _, l := range lines {
				if l == "READY=1" {
					once.Do(func() { close(ready) })
				}
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done; os.RemoveAll(dir) })
	return path
}

// Said are the lines that the process told the service manager since it was started.
func (m *Member) Said() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.said...)
}

// WaitReady waits until the member is ready; its end is the test's.
func (m *Member) WaitReady() {
	m.cluster.t.Helper()
	select {
	case <-m.ready:
	case <-m.ended:
		m.cluster.t.Fatalf("%s ended (%v) instead of serving:\n%s", m.Name, m.err, tail(m.Log(), 30))
	case <-time.After(Wait):
		m.cluster.t.Fatalf("%s did not become ready:\n%s", m.Name, tail(m.Log(), 30))
	}
}

// Wait waits for the process to end and gives what it ended with.
func (m *Member) Wait() error {
	m.cluster.t.Helper()
	select {
	case <-m.ended:
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.err
	case <-time.After(Wait):
		m.cluster.t.Fatalf("%s did not end:\n%s", m.Name, tail(m.Log(), 30))
		return nil
	}
}

// Runs reports whether the process is there.
func (m *Member) Runs() bool {
	if m.cmd == nil {
		return false
	}
	select {
	case <-m.ended:
		return false
	default:
		return true
	}
}

// Wipe removes the data, as a new disk would.
func (m *Member) Wipe() {
	m.cluster.t.Helper()
	if err := os.RemoveAll(m.DataDir); err != nil {
		m.cluster.t.Fatal(err)
	}
}

// Stop asks it to stop and gives what it ended with.
func (m *Member) Stop() error {
	m.cluster.t.Helper()
	m.cmd.Process.Signal(syscall.SIGTERM)
	return m.Wait()
}

// Kill ends it as a power cut would.
func (m *Member) Kill() {
	m.cluster.t.Helper()
	m.cmd.Process.Kill()
	m.Wait()
}

// Log is what it has written so far.
func (m *Member) Log() string { return m.log.String() }

// lockedBuffer may be written by one goroutine and read by another.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
