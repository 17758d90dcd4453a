package provision_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision"
	"quorate/provision/host/hosttest"
)

// etcd is a model of etcd's static bootstrap and quorum.
type etcd struct {
	mu         sync.Mutex
	members    map[string]*peer
	leader     string
	moves      []string
	least      int // fewest healthy voters seen since watch
	watching   bool
	violations map[string]bool
	revision   int64 // of the newest write
	// hashing is told of each question for a hash, before it is answered.
	hashing func(member string, revision int64)
}

type peer struct {
	id      uint64
	layout  plan.Layout
	machine *hosttest.Machine
	addr    string
	up      bool
	deaf    bool           // runs and answers nobody
	hash    kvserver.Hash  // of its keys; the revision is the one that is asked for
	memory  *kvserver.Hash // of the moment at which it compacted at that revision, if it remembers
	lag     int64          // its newest revision is so much smaller
	joined  bool           // has been started: an empty disk would be a loss
}

func (e *etcd) start(name string, p *hosttest.Process) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.members[name]
	m := p.Machine
	config, err := m.ReadFile(n.layout.EtcdYAML)
	if err != nil {
		return err
	}
	unit, err := m.ReadFile(n.layout.UnitFile)
	if err != nil {
		return err
	}
	for _, f := range []string{n.layout.CA, n.layout.Key("server"), n.layout.Cert("server"), n.layout.Key("peer"), n.layout.Cert("peer")} {
		if _, err := m.ReadFile(f); err != nil {
			return fmt.Errorf("open %s: no such file", f)
		}
	}
	wal := path.Join(setting(config, "data-dir"), "member/wal/0.wal")
	if dir := setting(config, "wal-dir"); dir != "" {
		wal = path.Join(dir, "0.wal")
	}
	if _, err := m.ReadFile(wal); err != nil {
		if n.joined {
			e.violations[name+" was started as new although it had been a member before"] = true
		}
		if _, err := m.ReadFile(n.layout.Bootstrap); err != nil {
			return fmt.Errorf("no bootstrap file and no data")
		}
		m.WriteFile(wal, []byte("wal"), 0o600)
		m.WriteFile(path.Join(setting(config, "data-dir"), "member/snap/db"), []byte("db"), 0o600)
	}
	p.ConfigDigest = kvserver.ConfigDigest(config, unit)
	if i := slices.Index(p.Argv, "--etcd"); i >= 0 { // kvserver becomes etcd's own server
		p.Exe = p.Argv[i+1]
		exe, err := m.ReadFile(p.Exe)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(exe)
		p.ExeDigest = hex.EncodeToString(sum[:])
	}
	p.Ready = func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.quorum() }
	p.OnStop = func() { e.stop(name) }
	n.up, n.joined, n.machine = true, true, m
	if e.quorum() {
		if e.leader == "" {
			e.leader = name
		}
		for _, o := range e.members {
			if o.up {
				o.ready()
			}
		}
	}
	return nil
}

// setting is what a configuration says of an option; "" if nothing.
func setting(config []byte, name string) string {
	for line := range strings.Lines(string(config)) {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// ready is what the unit does when its member serves: note it, and take the bootstrap file away.
func (n *peer) ready() {
	mark, _ := json.Marshal(kvserver.Mark{Format: kvserver.MarkFormat, ClusterID: "7", MemberID: kvserver.ID(n.id), At: now})
	n.machine.WriteFile(n.layout.Mark, mark, 0o644)
	n.machine.RemoveAll(n.layout.Bootstrap)
}

func (e *etcd) stop(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.members[name].up = false
	if e.leader == name {
		e.leader = ""
		for _, n := range slices.Sorted(keysOf(e.members)) {
			if e.members[n].up && e.quorum() {
				e.leader = n
				break
			}
		}
	}
	if !e.quorum() {
		e.leader = ""
	}
	if e.watching {
		e.least = min(e.least, e.healthy())
	}
}

func keysOf(m map[string]*peer) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (e *etcd) healthy() (n int) {
	for _, m := range e.members {
		if m.up {
			n++
		}
	}
	return n
}

func (e *etcd) quorum() bool { return e.healthy() > len(e.members)/2 }

func (e *etcd) dial(name, address string) (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.members[name]; !n.up || n.addr != address {
		return nil, syscall.ECONNREFUSED
	}
	a, b := net.Pipe()
	_ = b.Close()
	return a, nil
}

// admin asks the model, through the machines' tunnels.
type admin struct {
	etcd      *etcd
	endpoints []provision.Endpoint
	dial      provision.Dial
}

func (a *admin) reach(ctx context.Context, name string) error {
	for _, e := range a.endpoints {
		if e.Name == name {
			c, err := a.dial(ctx, name, "tcp", e.Address)
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := c.Read(make([]byte, 1)); err != io.EOF { // what a relay could not reach ends with why
				return err
			}
			return nil
		}
	}
	return errors.New("no such endpoint")
}

func (a *admin) Members(ctx context.Context, via string) ([]kvserver.Member, error) {
	if err := a.reach(ctx, via); err != nil {
		return nil, err
	}
	a.etcd.mu.Lock()
	defer a.etcd.mu.Unlock()
	if !a.etcd.quorum() {
		return nil, errors.New("etcdserver: no leader")
	}
	if a.etcd.members[via].deaf {
		return nil, context.DeadlineExceeded
	}
	var out []kvserver.Member
	for _, n := range slices.Sorted(keysOf(a.etcd.members)) {
		m := a.etcd.members[n]
		out = append(out, kvserver.Member{ID: m.id, Name: n, PeerURLs: []string{"https://" + strings.Replace(m.addr, ":2379", ":2380", 1)}, ClientURLs: clientURLs(m)})
	}
	return out, nil
}

// clientURLs are published by a member once it serves.
func clientURLs(n *peer) []string {
	if !n.joined {
		return nil
	}
	return []string{"https://" + n.addr}
}

func (a *admin) Status(ctx context.Context, name string) (kvserver.Status, error) {
	if err := a.reach(ctx, name); err != nil {
		return kvserver.Status{}, err
	}
	a.etcd.mu.Lock()
	defer a.etcd.mu.Unlock()
	m := a.etcd.members[name]
	if m.deaf {
		return kvserver.Status{}, context.DeadlineExceeded
	}
	st := kvserver.Status{ClusterID: 7, MemberID: m.id, Version: "3.7.3", Revision: a.etcd.revision - m.lag, RaftAppliedIndex: 5}
	if l := a.etcd.members[a.etcd.leader]; l != nil {
		st.Leader = l.id
	}
	return st, nil
}

func (a *admin) HashKV(ctx context.Context, name string, revision int64) (kvserver.Hash, error) {
	if err := a.reach(ctx, name); err != nil {
		return kvserver.Hash{}, err
	}
	if f := a.etcd.hashing; f != nil {
		f(name, revision)
	}
	a.etcd.mu.Lock()
	defer a.etcd.mu.Unlock()
	m := a.etcd.members[name]
	h := m.hash
	switch {
	case revision == 0:
		revision = a.etcd.revision - m.lag
	case m.memory != nil && revision == m.memory.Revision:
		return *m.memory, nil
	case revision < h.CompactRevision:
		return kvserver.Hash{}, kvserver.ErrCompacted
	case revision > a.etcd.revision-m.lag:
		return kvserver.Hash{}, errors.New("etcdserver: mvcc: required revision is a future revision")
	}
	h.Revision = revision
	return h, nil
}

func (a *admin) MoveLeader(ctx context.Context, leader string, to uint64) error {
	if err := a.reach(ctx, leader); err != nil {
		return err
	}
	a.etcd.mu.Lock()
	defer a.etcd.mu.Unlock()
	if a.etcd.leader != leader {
		return errors.New("etcdserver: not leader")
	}
	for n, m := range a.etcd.members {
		if m.id == to && m.up {
			a.etcd.leader = n
			a.etcd.moves = append(a.etcd.moves, leader+">"+n)
			return nil
		}
	}
	return errors.New("etcdserver: bad leader transferee")
}

func (a *admin) Close() error { return nil }
