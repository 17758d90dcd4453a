// Package hosttest has what the other packages test against: a fake machine
// with real behaviour and switchable faults ([Machine], [World]), which can also
// say what it is in the words of the posix package's script ([AnswerLook]), an
// SSH server in this process ([Server]), and the conformance suite ([Suite])
// that the fake and the real adapters pass alike.
//
// It is test code: nothing in the product imports it.
package hosttest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"quorate/provision/host"
)

// Machine is a fake machine. Its state (files, accounts, units, listeners)
// survives the sessions that [Machine.Host] opens on it, as a real one's does.
// Every method may be called from many goroutines.
type Machine struct {
	Faults
	world *Faults // shared by the machines of one World, or nil
	name  string

	mu        sync.Mutex
	facts     host.Facts
	clock     func() time.Time
	files     map[string]*node
	inode     int64
	accounts  map[string]bool
	units     map[string]*unit
	programs  map[string]Program
	commands  map[string]Handler
	listeners map[int][]host.PortListener
	free      map[string]int64
	mounts    map[string]*Disk
	locks     map[string]*hold
	sessions  map[*Fake]bool
	streams   map[string]Stream
	dialer    func(ctx context.Context, network, address string) (net.Conn, error)

	noForwarding bool

	pid      int
	patience time.Duration
	change   chan struct{} // closed and replaced whenever something changed
}

// defaultFree is the free space of a path nobody set: enough for any test's binary.
const defaultFree = 1 << 40

// NewMachine makes a machine as a fresh Debian amd64 host with systemd and
// root's rights: no files but the usual folders, no units, nobody listening.
func NewMachine(name string) *Machine {
	m := &Machine{
		name:      name,
		clock:     time.Now,
		files:     map[string]*node{},
		accounts:  map[string]bool{"root": true, "nobody": true},
		units:     map[string]*unit{},
		programs:  map[string]Program{},
		commands:  map[string]Handler{},
		streams:   map[string]Stream{},
		listeners: map[int][]host.PortListener{22: {{Address: "0.0.0.0", PID: 1, Process: "sshd"}, {Address: "::", PID: 1, Process: "sshd"}}},
		free:      map[string]int64{},
		mounts:    map[string]*Disk{},
		locks:     map[string]*hold{},
		sessions:  map[*Fake]bool{},
		pid:       1000,
		patience:  2 * time.Second,
		change:    make(chan struct{}),
		facts: host.Facts{
			OS: "linux", Arch: "amd64", Hostname: name, MachineID: "fake-" + name,
			Manager: "systemd", ManagerVersion: "252", Root: true,
		},
	}
	for _, dir := range []string{"/", "/etc", "/etc/systemd", unitDir, "/opt", "/run", "/run/lock", "/tmp", "/usr/local/bin", "/var/lib", "/var/log"} {
		m.mkdirAll(dir)
	}
	return m
}

// NewLocalMachine makes a machine as the local adapter shows it: no root's
// rights, owners and accounts ignored, units supervised (a unit's name is the
// path of its service file).
func NewLocalMachine(name string) *Machine {
	m := NewMachine(name)
	m.facts.Root, m.facts.Manager, m.facts.ManagerVersion = false, "supervise", ""
	return m
}

// Name of the machine.
func (m *Machine) Name() string { return m.name }

// Host opens a session. It takes no call and never fails: an unreachable
// machine fails the session's calls. Use [Machine.Dial] where opening may fail.
func (m *Machine) Host() *Fake {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := &Fake{m: m, conns: map[*trackedConn]bool{}}
	m.sessions[h] = true
	return h
}

// Dial opens a session as the ssh adapter does: it counts as a call, and an
// unreachable or cut machine is an error.
func (m *Machine) Dial(ctx context.Context) (host.Host, error) {
	h := m.Host()
	if _, err := call(ctx, h, Call{Method: "Connect"}, nil, func() (host.Host, error) { return h, nil }); err != nil {
		h.die()
		return nil, err
	}
	return h, nil
}

// SetFacts lets f change the machine's facts.
func (m *Machine) SetFacts(f func(*host.Facts)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.facts)
}

// SetClock replaces the machine's clock (default time.Now).
func (m *Machine) SetClock(now func() time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock = now
}

// SetPatience bounds the real time that a start or lock waits, whatever the
// request says (default 2 s), so that tests of a timeout are quick. The error
// still names the time asked for.
func (m *Machine) SetPatience(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.patience = d
}

// SetFree sets the free space below a folder, in bytes. A write that needs
// more fails and leaves nothing.
func (m *Machine) SetFree(dir string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free[path.Clean(dir)] = bytes
}

// SetDialer sets what DialContext does; without one, dialling is refused.
func (m *Machine) SetDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dialer = dial
}

// ForbidForwarding refuses DialContext as an SSH server with AllowTcpForwarding no does.
func (m *Machine) ForbidForwarding(forbidden bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noForwarding = forbidden
}

// Stream is a programmed command for Relay: conn is its standard input and
// output. When it returns, the command has ended, with that error on standard error.
type Stream func(m *Machine, argv []string, conn io.ReadWriter) error

// HandleStream programs the command that Relay runs when argv[0] is this path, or has this as its last element.
func (m *Machine) HandleStream(name string, s Stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams[name] = s
}

// Listen makes a process of this name listen on a TCP port, on all addresses.
func (m *Machine) Listen(port int, process string) { m.ListenAt("::", port, process) }

// ListenAt makes a process of this name listen on a TCP port of one address.
func (m *Machine) ListenAt(address string, port int, process string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pid++
	m.listen(port, host.PortListener{Address: address, PID: m.pid, Process: process})
}

func (m *Machine) listen(port int, l host.PortListener) {
	all := append(slices.Clone(m.listeners[port]), l)
	slices.SortStableFunc(all, func(a, b host.PortListener) int { return strings.Compare(a.Address, b.Address) })
	m.listeners[port] = all
}

// Unlisten ends whatever listens on the port.
func (m *Machine) Unlisten(port int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.listeners, port)
}

// AddAccount makes a system account.
func (m *Machine) AddAccount(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accounts[name] = true
}

// Handler is a programmed command. It runs outside the machine's lock and may
// use the machine.
type Handler func(ctx context.Context, m *Machine, c host.Command) (host.Result, error)

// Handle programs the command whose argv[0] is this path, or has this as its
// last element. An argv[0] with a slash must also exist as a file.
func (m *Machine) Handle(name string, h Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commands[name] = h
}

// Exit is the error a Handler returns for a command that failed.
func Exit(code int, stderr string) error { return &host.ExitError{Code: code, Stderr: stderr} }

func (m *Machine) handler(argv0 string) (Handler, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.Contains(argv0, "/") {
		n := m.files[path.Clean(argv0)]
		if n == nil {
			return nil, Exit(127, argv0+": not found")
		}
		if n.dir || n.mode&0o111 == 0 || m.mountState(path.Clean(argv0)).NoExec {
			return nil, Exit(126, argv0+": Permission denied")
		}
	}
	h := named(m.commands, argv0)
	if h == nil {
		return nil, Exit(127, argv0+": not found")
	}
	return h, nil
}

// named is what was programmed for this path, or else for its last element.
func named[H any](all map[string]H, argv0 string) H {
	if h, ok := all[argv0]; ok {
		return h
	}
	return all[path.Base(argv0)]
}

// Dump writes the machine's lasting state as sorted lines: files with mode,
// owner and digest, accounts, units. Two dumps are equal when nothing that
// matters changed; stamps, pids and times are left out, lock files too.
func (m *Machine) Dump() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(m.files)) {
		n := m.files[p]
		switch {
		case n.lock:
		case n.link != "":
			fmt.Fprintf(&b, "link %s -> %s\n", p, n.link)
		case n.special != "":
			fmt.Fprintf(&b, "%s %04o %s:%s %s\n", n.special, n.mode, n.owner, n.group, p)
		case n.dir:
			fmt.Fprintf(&b, "dir  %04o %s:%s %s\n", n.mode, n.owner, n.group, p)
		default:
			fmt.Fprintf(&b, "file %04o %s:%s %s %.12s\n", n.mode, n.owner, n.group, p, n.digest())
		}
	}
	for _, a := range slices.Sorted(maps.Keys(m.accounts)) {
		fmt.Fprintf(&b, "account %s\n", a)
	}
	for _, name := range slices.Sorted(maps.Keys(m.units)) {
		u := m.units[name]
		p := cmp.Or(u.proc, &Process{})
		fmt.Fprintf(&b, "unit %s %s enabled=%t exe=%.12s config=%.12s\n", name, u.active(), u.enabled, p.ExeDigest, p.ConfigDigest)
	}
	return b.String()
}

// broadcast wakes everybody who waits for a change; the caller holds mu.
func (m *Machine) broadcast() {
	close(m.change)
	m.change = make(chan struct{})
}
