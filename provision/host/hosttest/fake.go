package hosttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"quorate/provision/host"
)

// Fake is one session on a [Machine]. It implements host.Host.
type Fake struct {
	m *Machine

	mu    sync.Mutex
	dead  bool // no call works any more
	conns map[*trackedConn]bool
}

var _ host.Host = (*Fake)(nil)

type hold struct {
	session *Fake
	holder  host.Holder
}

// Machine is what the session is on.
func (h *Fake) Machine() *Machine { return h.m }

// Name of the machine.
func (h *Fake) Name() string { return h.m.name }

// call is one call on h under the faults: full does all of it, half (may be nil)
// does about half, for a cut in the middle.
func call[T any](ctx context.Context, h *Fake, c Call, half func(), full func() (T, error)) (none T, err error) {
	c.Machine = h.m.name
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("host %q: %w", h.m.name, err)
	}
	if h.isDead() {
		return none, h.unreachable(net.ErrClosed)
	}
	v := h.m.enter(c)
	if h.m.world != nil && v.unreach == nil && v.err == nil && v.cut == cutNever {
		w := h.m.world.enter(c)
		w.latency += v.latency
		v = w
	}
	if v.latency > 0 {
		select {
		case <-ctx.Done():
			return none, fmt.Errorf("host %q: %w", h.m.name, ctx.Err())
		case <-time.After(v.latency):
		}
	}
	if v.err != nil {
		return none, fmt.Errorf("host %q: %w", h.m.name, v.err)
	}
	if v.unreach != nil {
		h.m.dropSessions()
		return none, h.unreachable(v.unreach)
	}
	switch v.cut {
	case cutMidway:
		if half != nil {
			half()
		}
	case cutReplied:
		_, _ = full()
	case cutNever:
		return full()
	}
	h.m.dropSessions()
	return none, h.unreachable(ErrCut)
}

func (h *Fake) unreachable(cause error) error {
	return &host.UnreachableError{Host: h.m.name, Address: h.m.name + ":22", Cause: cause}
}

// die ends the session with everything it holds.
func (h *Fake) die() {
	h.mu.Lock()
	h.dead = true
	conns := h.conns
	h.conns = map[*trackedConn]bool{}
	h.mu.Unlock()
	for c := range conns {
		c.Conn.Close()
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	delete(h.m.sessions, h)
	for p, l := range h.m.locks {
		if l.session == h {
			delete(h.m.locks, p)
		}
	}
	h.m.broadcast()
}

func (m *Machine) dropSessions() {
	m.mu.Lock()
	all := slices.Collect(maps.Keys(m.sessions))
	m.mu.Unlock()
	for _, h := range all {
		h.die()
	}
}

// Close ends the session and releases its locks and tunnels.
func (h *Fake) Close() error {
	h.die()
	return nil
}

// Look implements host.Host.
func (h *Fake) Look(ctx context.Context, q host.Query) (*host.Look, error) {
	return call(ctx, h, Call{Method: "Look"}, nil, func() (*host.Look, error) { return h.look(ctx, q) })
}

func (h *Fake) look(ctx context.Context, q host.Query) (*host.Look, error) {
	for _, name := range q.Units {
		h.m.refresh(name)
	}
	out, err := h.m.look(q)
	if err != nil {
		return nil, err
	}
	return out, h.m.probes(ctx, q.Probes, out)
}

func (m *Machine) look(q host.Query) (*host.Look, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &host.Look{
		Facts: m.facts, Files: map[string]host.FileState{}, Dirs: map[string]host.DirState{}, Units: map[string]host.UnitState{},
		Ports: map[int]host.PortState{}, Accounts: map[string]bool{}, Space: map[string]int64{},
		Mounts: map[string]host.MountState{}, Probes: map[string]host.ProbeState{},
	}
	l.Facts.Addresses = slices.Clone(m.facts.Addresses)
	l.Facts.Missing = slices.Clone(m.facts.Missing)
	l.Facts.Clock = m.clock()
	for _, f := range q.Files {
		s, err := m.lookFile(f)
		if err != nil {
			return nil, fmt.Errorf("cannot look at host %q: %w", m.name, err)
		}
		l.Files[f.Path] = s
	}
	for _, d := range q.Dirs {
		l.Dirs[d.Path] = m.lookDir(d)
	}
	for _, u := range q.Units {
		l.Units[u] = m.unitState(u)
	}
	for _, p := range q.Ports {
		l.Ports[p] = host.PortState{Known: true, Listeners: slices.Clone(m.listeners[p])}
	}
	for _, a := range q.Accounts {
		l.Accounts[a] = m.accounts[a]
	}
	for _, p := range q.Space {
		l.Space[p] = m.freeAt(path.Clean(p))
		l.Mounts[p] = m.mountState(path.Clean(p))
	}
	return l, nil
}

// probes runs those whose conditions hold, by the commands that [Machine.Handle] programmed.
func (m *Machine) probes(ctx context.Context, all []host.Probe, l *host.Look) error {
	for _, p := range all {
		if err := p.Check(); err != nil {
			return fmt.Errorf("cannot look at host %q: %w", m.name, err)
		}
		m.refresh(p.Unless)
		m.mu.Lock()
		skip := p.IfExists != "" && m.files[path.Clean(p.IfExists)] == nil
		if u := m.units[p.Unless]; u != nil && u.proc != nil {
			skip = true
		}
		m.mu.Unlock()
		if skip {
			l.Probes[p.Name] = host.ProbeState{}
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.Timeout, host.ProbeTimeout))
		s, err := m.probe(ctx, p)
		cancel()
		if err != nil {
			return err
		}
		l.Probes[p.Name] = s
	}
	return nil
}

func (m *Machine) probe(ctx context.Context, p host.Probe) (host.ProbeState, error) {
	var r host.Result
	run, err := m.handler(p.Argv[0])
	if err == nil {
		r, err = run(ctx, m, host.Command{Argv: p.Argv})
	}
	s := host.ProbeState{Ran: true, Stdout: r.Stdout, Stderr: r.Stderr}
	var exit *host.ExitError
	switch {
	case errors.As(err, &exit):
		s.Code = exit.Code
		if len(s.Stderr) == 0 {
			s.Stderr = []byte(exit.Stderr)
		}
	case errors.Is(err, context.DeadlineExceeded):
		s.Code = -1
	case err != nil:
		return s, err
	}
	return p.Keep(s), nil
}

// Lock implements host.Host.
func (h *Fake) Lock(ctx context.Context, r host.LockRequest) (func() error, error) {
	return call(ctx, h, Call{Method: "Lock", Writes: true, Detail: r.Path}, nil, func() (func() error, error) {
		if err := h.lock(ctx, r); err != nil {
			return nil, err
		}
		if r.Look != nil {
			if found, err := h.look(ctx, *r.Look); err == nil {
				r.Found(found)
			}
		}
		return sync.OnceValue(func() error { h.unlock(path.Clean(r.Path)); return nil }), nil
	})
}

func (h *Fake) unlock(p string) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if l := h.m.locks[p]; l != nil && l.session == h {
		delete(h.m.locks, p)
		h.m.broadcast()
	}
}

func (h *Fake) lock(ctx context.Context, r host.LockRequest) error {
	m, p := h.m, path.Clean(r.Path)
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Contains(m.facts.Missing, "flock") {
		return fmt.Errorf("cannot lock host %q: flock is not installed (util-linux)", m.name)
	}
	var expired <-chan time.Time
	if r.Wait > 0 {
		t := time.NewTimer(min(r.Wait, m.patience))
		defer t.Stop()
		expired = t.C
	}
	for m.locks[p] != nil {
		held := &host.LockedError{Host: m.name, Holder: m.locks[p].holder}
		if r.Wait <= 0 {
			return held
		}
		change := m.change
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			m.mu.Lock()
			return fmt.Errorf("cannot lock host %q: %w", m.name, ctx.Err())
		case <-expired:
			m.mu.Lock()
			return held
		case <-change:
		}
		m.mu.Lock()
	}
	if h.isDead() {
		return h.unreachable(ErrCut)
	}
	if m.files[p] == nil {
		var made []string // the file, and folders on the way
		for q := p; m.files[q] == nil; q = path.Dir(q) {
			made = append(made, q)
		}
		if err := m.put(p, nil, 0o600, m.caller(), m.caller()); err != nil {
			return fmt.Errorf("cannot lock host %q: %w", m.name, err)
		}
		for _, q := range made {
			m.files[q].lock = true
		}
	}
	holder := r.Holder
	if holder.From == "" {
		holder.From = "198.18.0.1"
	}
	m.locks[p] = &hold{session: h, holder: holder}
	return nil
}

func (h *Fake) isDead() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dead
}

// Write implements host.Host.
func (h *Fake) Write(ctx context.Context, w host.WriteRequest) ([]host.Change, error) {
	var paths []string
	for _, f := range w.Files {
		paths = append(paths, f.Path)
	}
	half := w
	half.Files = w.Files[:len(w.Files)/2]
	return call(ctx, h, Call{Method: "Write", Writes: true, Detail: strings.Join(paths, " ")},
		func() { _, _ = h.m.write(half) },
		func() ([]host.Change, error) { return h.m.write(w) })
}

func (m *Machine) write(w host.WriteRequest) ([]host.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w.Account != "" && m.facts.Root {
		m.accounts[w.Account] = true
	}
	var out []host.Change
	for _, f := range w.Files {
		c, err := m.place(f)
		if err != nil {
			return out, fmt.Errorf("cannot write %q on host %q: %w", f.Path, m.name, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// Run implements host.Host: see [Machine.Handle].
func (h *Fake) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if len(c.Argv) == 0 {
		return host.Result{}, fmt.Errorf("host %q: cannot run an empty command", h.m.name)
	}
	return call(ctx, h, Call{Method: "Run", Writes: true, Detail: strings.Join(c.Argv, " ")}, nil, func() (out host.Result, err error) {
		handler, err := h.m.handler(c.Argv[0])
		if err == nil {
			out, err = handler(ctx, h.m, c)
		}
		if c.Line != nil {
			for line := range strings.Lines(string(out.Stdout)) {
				if line, whole := strings.CutSuffix(line, "\n"); whole {
					c.Line(line)
				}
			}
		}
		var exit *host.ExitError
		if errors.As(err, &exit) {
			exit.Host, exit.Argv = h.m.name, c.Argv
			if exit.Stderr == "" {
				exit.Stderr = string(out.Stderr)
			}
		}
		return out, err
	})
}

// Remove implements host.Host.
func (h *Fake) Remove(ctx context.Context, r host.RemoveRequest) ([]string, error) {
	var trees []string
	for _, e := range r.Entries {
		if err := e.Check(); err != nil {
			return nil, fmt.Errorf("cannot remove on host %q: %w", h.m.name, err)
		}
		for _, n := range e.Names {
			trees = append(trees, path.Join(e.Dir, n))
		}
	}
	return call(ctx, h, Call{Method: "Remove", Writes: true, Detail: strings.Join(slices.Concat(trees, r.Files), " ")},
		func() { _, _ = h.m.remove(trees[:len(trees)/2], r.Files[:len(r.Files)/2]) },
		func() ([]string, error) { return h.m.remove(trees, r.Files) })
}

func (m *Machine) remove(trees, files []string) (removed []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range trees {
		name := path.Clean(p)
		if m.files[name] == nil {
			continue
		}
		if err := m.writable(path.Dir(name)); err != nil {
			return removed, fmt.Errorf("cannot remove on host %q: %w", m.name, err)
		}
		for _, q := range m.below(name) {
			if !m.holdsMount(q) {
				delete(m.files, q)
			}
		}
		if !m.holdsMount(name) {
			delete(m.files, name)
		}
		removed = append(removed, p)
	}
	for _, p := range files {
		name := path.Clean(p)
		if n := m.files[name]; n == nil || n.dir && (len(m.below(name)) > 0 || m.holdsMount(name)) {
			continue
		}
		if err := m.writable(path.Dir(name)); err != nil {
			return removed, fmt.Errorf("cannot remove on host %q: %w", m.name, err)
		}
		delete(m.files, name)
		removed = append(removed, p)
	}
	return removed, nil
}

// Aside implements host.Host.
func (h *Fake) Aside(ctx context.Context, r host.AsideRequest) (host.Aside, error) {
	return call(ctx, h, Call{Method: "Aside", Writes: true, Detail: r.Dir + " " + r.Name},
		func() { _, _ = h.m.aside(r, true) },
		func() (host.Aside, error) {
			out, err := h.m.aside(r, false)
			if err != nil {
				err = fmt.Errorf("cannot move aside what is in %q on host %q: %w", r.Dir, h.m.name, err)
			}
			return out, err
		})
}

func (m *Machine) aside(r host.AsideRequest, half bool) (a host.Aside, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := r.Check(); err != nil || !path.IsAbs(r.Dir) {
		return a, cmp.Or(err, errors.New("the path is not absolute"))
	}
	dir := path.Clean(r.Dir)
	to := path.Join(dir, host.AsideDir, r.Name)
	var move []string
	for _, p := range m.below(dir) {
		switch name := path.Base(p); {
		case path.Dir(p) != dir || name == "lost+found" || name == host.AsideDir || r.Only != nil && !slices.Contains(r.Only, name):
		case path.Ext(name) == ".wal":
			return a, fmt.Errorf("%s holds the files of a write-ahead log itself", dir)
		case m.files[path.Join(to, name)] != nil:
			return a, fmt.Errorf("%s: %w", path.Join(to, name), syscall.EEXIST)
		case m.mounts[p] != nil:
			return a, fmt.Errorf("%s is a mount point: %w", p, syscall.EBUSY)
		default:
			move = append(move, p)
		}
	}
	if len(move) > 0 {
		if err := cmp.Or(m.writable(dir), m.mkdirAll(to)); err != nil {
			return a, err
		}
		for _, p := range []string{path.Join(dir, host.AsideDir), to} {
			m.files[p].mode, m.files[p].owner, m.files[p].group = 0o700, m.files[dir].owner, m.files[dir].group
		}
	}
	if half {
		move = move[:len(move)/2]
	}
	for _, p := range move {
		a.Moved = append(a.Moved, path.Base(p))
		for _, q := range append(m.below(p), p) {
			m.files[path.Join(to, strings.TrimPrefix(q, dir))] = m.files[q]
			delete(m.files, q)
		}
	}
	if m.files[to] != nil {
		a.Path = to
	}
	return a, nil
}

// Relay implements host.Host: see [Machine.HandleStream].
func (h *Fake) Relay(ctx context.Context, argv []string) (net.Conn, error) {
	if len(argv) == 0 {
		return nil, fmt.Errorf("host %q: cannot run an empty command", h.m.name)
	}
	return call(ctx, h, Call{Method: "Relay", Detail: strings.Join(argv, " ")}, nil, func() (net.Conn, error) {
		h.m.mu.Lock()
		run := named(h.m.streams, argv[0])
		h.m.mu.Unlock()
		near, far := net.Pipe()
		c := &trackedConn{Conn: near, session: h}
		go func() {
			defer far.Close()
			err := Exit(127, argv[0]+": not found")
			if run != nil {
				err = run(h.m, argv, far)
			}
			if err != nil {
				c.cause = fmt.Errorf("host %q: %s: %w", h.m.name, argv[0], err)
			}
		}()
		return h.track(c), nil
	})
}

// DialContext implements host.Host: see [Machine.SetDialer].
func (h *Fake) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return call(ctx, h, Call{Method: "DialContext", Detail: address}, nil, func() (net.Conn, error) {
		conn, err := h.m.dial(ctx, network, address)
		if err != nil {
			return nil, fmt.Errorf("cannot dial %s from host %q: %w", address, h.m.name, err)
		}
		return h.track(&trackedConn{Conn: conn, session: h}), nil
	})
}

func (m *Machine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	m.mu.Lock()
	dial, forbidden := m.dialer, m.noForwarding
	m.mu.Unlock()
	if forbidden {
		return nil, &host.ForwardingError{Host: m.name, Cause: errors.New("administratively prohibited")}
	}
	if dial == nil {
		return nil, syscall.ECONNREFUSED
	}
	return dial(ctx, network, address)
}

func (h *Fake) track(c *trackedConn) net.Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c] = true
	return c
}

// trackedConn is a tunnel or a relay that ends with its session.
type trackedConn struct {
	net.Conn
	session *Fake
	cause   error // why the command behind it ended; set before its end of the connection is closed
}

// Read gives the command's own error where it has one.
func (c *trackedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) && c.cause != nil {
		err = c.cause
	}
	return n, err
}

func (c *trackedConn) Close() error {
	c.session.mu.Lock()
	delete(c.session.conns, c)
	c.session.mu.Unlock()
	return c.Conn.Close()
}
