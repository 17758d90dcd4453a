package provision_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
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
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// rig is a whole world in memory: machines with faults, an etcd that knows its
// members, a CA, and an operator who runs quorate again and again.
type rig struct {
	t       testing.TB
	cluster *spec.Cluster
	world   *hosttest.World
	etcd    *etcd
	ca      *authority
	runs    int
	opened  int // sessions; each is another run of quorate
	dir     string
	same    map[string]string // members that are another one's machine
	binary  string
	cached  string // sha256 of the archive of etcd that is on this side
	fetches int
	offline bool
}

const threeMembers = `
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" { address = "192.168.7.103" }
  client "apiserver" {}
}`

func newRig(t testing.TB, hcl string) *rig {
	t.Helper()
	s, diags := spec.Load([]spec.File{{Name: "spec.hcl", Bytes: []byte(hcl)}}, spec.Options{Dir: "/work-dir"})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	r := &rig{t: t, cluster: s.Clusters[0], world: hosttest.NewWorld(), ca: &authority{}, binary: "kvserver binary 1"}
	r.etcd = &etcd{members: map[string]*peer{}, violations: map[string]bool{}, revision: 1}
	for i, m := range r.cluster.Members {
		machine := hosttest.NewMachine(m.Name)
		machine.SetPatience(30 * time.Second) // only a start that never comes true waits that long, and fails its test
		r.etcd.members[m.Name] = &peer{id: uint64(i + 1), layout: plan.LayoutOf(r.cluster, m), addr: node.HostPort(m.Address, m.ClientPort)}
		machine.Program("", func(p *hosttest.Process) error { return r.etcd.start(m.Name, p) })
		machine.Handle("kvserver", keys)
		machine.SetDialer(func(_ context.Context, _, address string) (net.Conn, error) { return r.etcd.dial(m.Name, address) })
		r.world.Add(machine)
	}
	return r
}

// respec goes on with another spec of the same members.
func (r *rig) respec(hcl string) {
	r.t.Helper()
	s, diags := spec.Load([]spec.File{{Name: "spec.hcl", Bytes: []byte(hcl)}}, spec.Options{Dir: "/work-dir"})
	if diags.HasErrors() {
		r.t.Fatal(diags)
	}
	r.cluster = s.Clusters[0]
}

// keys is kvserver keys: makes what is missing, answers a request each.
func keys(_ context.Context, m *hosttest.Machine, c host.Command) (host.Result, error) {
	if len(c.Argv) > 2 && c.Argv[1] == "serve" && c.Argv[2] == "--check" {
		if strings.Contains(string(c.Stdin), "max-txn-ops: 666") {
			return host.Result{}, hosttest.Exit(1, "kvserver: etcd cannot be started with this configuration: max-txn-ops")
		}
		return host.Result{}, nil
	}
	if len(c.Argv) == 2 && c.Argv[1] == "probe" {
		return probes(m, c.Stdin)
	}
	if len(c.Argv) == 2 && c.Argv[1] == "certificates" {
		return installs(m, c.Stdin)
	}
	if len(c.Argv) != 2 || c.Argv[1] != "keys" {
		return host.Result{}, hosttest.Exit(2, "usage")
	}
	var ask []kvserver.KeyRequest
	if err := json.Unmarshal(c.Stdin, &ask); err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	var out []kvserver.KeyAnswer
	for _, k := range ask {
		a := kvserver.KeyAnswer{Path: k.Path}
		key, err := m.ReadFile(k.Path)
		if err != nil {
			a.Created, a.New = true, true
			key = []byte("PRIVATE KEY " + m.Name() + k.Path)
			if err := m.Place(host.File{Path: k.Path + ".new", Mode: 0o600, Owner: k.Owner, Content: key}); err != nil {
				return host.Result{}, hosttest.Exit(1, err.Error())
			}
		}
		a.CSR = "csr for " + string(key)
		out = append(out, a)
	}
	b, err := json.Marshal(out)
	return host.Result{Stdout: b}, err
}

// probes is kvserver probe, on a network in which nobody reaches a machine that has the file /firewall.
func probes(m *hosttest.Machine, stdin []byte) (host.Result, error) {
	var ask kvserver.PeerProbe
	if err := json.Unmarshal(stdin, &ask); err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	a := kvserver.PeerProbeAnswer{Unreached: map[string]string{}}
	if block, err := m.ReadFile("/firewall"); err == nil {
		a.Unreached[string(block)] = "no route to host"
	}
	b, err := json.Marshal(a)
	return host.Result{Stdout: b}, err
}

// installs is kvserver certificates: each with the key that it is for.
func installs(m *hosttest.Machine, stdin []byte) (host.Result, error) {
	var ask kvserver.Certificates
	if err := json.Unmarshal(stdin, &ask); err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	out := kvserver.CertificatesAnswer{Changed: []string{}, Keys: map[string]string{}}
	put := func(path, owner, content string, mode uint32) error {
		have, err := m.ReadFile(path)
		if err == nil && string(have) == content {
			return nil
		}
		out.Changed = append(out.Changed, path)
		return m.Place(host.File{Path: path, Mode: mode, Owner: owner, Content: []byte(content)})
	}
	if err := put(ask.CA.Path, ask.CA.Owner, ask.CA.PEM, ask.CA.Mode); err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	for _, p := range ask.Pairs {
		key, err := m.ReadFile(p.Key + ".new")
		if err == nil {
			m.RemoveAll(p.Key + ".new")
			err = put(p.Key, p.Certificate.Owner, string(key), 0o600)
		} else {
			if key, err = m.ReadFile(p.Key); err == nil {
				err = m.Place(host.File{Path: p.Key, Mode: 0o600, Owner: p.Certificate.Owner, Content: key})
			}
		}
		if err == nil {
			err = put(p.Certificate.Path, p.Certificate.Owner, p.Certificate.PEM, p.Certificate.Mode)
		}
		if err != nil {
			return host.Result{}, hosttest.Exit(1, err.Error())
		}
		sum := sha256.Sum256(key)
		out.Keys[p.Key] = hex.EncodeToString(sum[:])
	}
	b, err := json.Marshal(out)
	return host.Result{Stdout: b}, err
}

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
	wal := path.Join(n.layout.Data, "member/wal/0.wal")
	if _, err := m.ReadFile(wal); err != nil {
		if n.joined {
			e.violations[name+" was started as new although it had been a member before"] = true
		}
		if _, err := m.ReadFile(n.layout.Bootstrap); err != nil {
			return fmt.Errorf("no bootstrap file and no data")
		}
		m.WriteFile(wal, []byte("wal"), 0o600)
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

// authority is a CA whose certificates are JSON.
type authority struct {
	mu      sync.Mutex
	ca      *pki.Certificate
	clients map[string]pki.Certificate
	serial  int
	noted   *plan.Recorded
	locked  bool   // its key is encrypted, and nobody is there to open it
	opened  int    // how often a certificate was made for a run
	refuses string // a name for which nobody would take its certificates
}

func encode(c pki.Certificate) []byte { b, _ := json.Marshal(c); return append(b, '\n') }

func (a *authority) Look() (plan.CA, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ca == nil {
		return plan.CA{}, nil
	}
	return plan.CA{Exists: true, PEM: string(encode(*a.ca)), Cert: *a.ca}, nil
}

func (a *authority) Try(requests []pki.Request) error {
	for _, r := range requests {
		if slices.Contains(r.SANs, a.refuses) {
			return fmt.Errorf("%q is not permitted", a.refuses)
		}
	}
	return nil
}

func (a *authority) Create(c *plan.CreateCA) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serial++
	a.ca = &pki.Certificate{Subject: c.CommonName, IsCA: true, Fingerprint: fmt.Sprintf("ca-%d", a.serial), NotAfter: now.Add(c.Lifetime), KeyAlgorithm: c.Algorithm}
	return nil
}

func (a *authority) sign(r pki.Request, algorithm string) pki.Certificate {
	a.serial++
	s, c := pki.Usages(r.Profile)
	return pki.Certificate{Subject: r.CommonName, Organization: r.Organization, SANs: r.SANs, Profiles: pki.Profiles(s, c), KeyAlgorithm: algorithm,
		NotBefore: now.Add(-pki.Backdate), NotAfter: now.Add(r.Lifetime), Fingerprint: fmt.Sprintf("cert-%d", a.serial), Issuer: a.ca.Fingerprint}
}

func (a *authority) Sign(csr []byte, r pki.Request) ([]byte, pki.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !strings.HasPrefix(string(csr), "csr for ") {
		return nil, pki.Certificate{}, errors.New("that is no request")
	}
	c := a.sign(r, "ecdsa-p256")
	return encode(c), c, nil
}

func (a *authority) Parse(pem []byte) (c pki.Certificate, err error) {
	return c, json.Unmarshal(pem, &c)
}

func (a *authority) Operator() (*tls.Config, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ca == nil || a.locked {
		return nil, errors.New("there is no CA that could sign")
	}
	a.opened++
	return &tls.Config{}, nil
}

func (a *authority) Encrypt() (bool, error) { return false, nil }

func (a *authority) Ready() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ca != nil && !a.locked
}

func (a *authority) ClientTLS(name string) (*tls.Config, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.clients[name]; !ok {
		return nil, errors.New("no such client certificate")
	}
	return &tls.Config{}, nil
}

func (a *authority) LookClient(c *spec.Client) (plan.ClientFiles, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	cert, ok := a.clients[c.Name]
	if !ok {
		return plan.ClientFiles{}, nil
	}
	return plan.ClientFiles{Cert: &cert, Key: true, Bundle: cert.Issuer}, nil
}

func (a *authority) IssueClient(i *plan.IssueClient) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.clients == nil {
		a.clients = map[string]pki.Certificate{}
	}
	a.clients[i.Name] = a.sign(i.Certificate.Request, i.Certificate.Algorithm)
	return nil
}

func (a *authority) Recorded() (*plan.Recorded, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.noted, nil
}

func (a *authority) Remember(_ string, r *plan.Recorded) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noted = r
	return true, nil
}

func (a *authority) Forget(f *plan.Forget) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noted = nil
	if len(f.Files) == 1 && strings.HasSuffix(f.Files[0], "cluster.json") {
		return nil
	}
	a.ca, a.clients = nil, nil
	return nil
}

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Find implements provision.Binaries.
func (r *rig) Find(string) (map[string]provision.Source, error) {
	out := map[string]provision.Source{plan.KVServer: {Blob: host.BytesBlob([]byte(r.binary)), Version: "3.7.3"}}
	if e := r.cluster.Server.Etcd; e != nil {
		src := e.Sources["amd64"]
		out[plan.Etcd] = provision.Source{Version: e.Version, Archive: plan.Archive{URL: src.URL, SHA256: src.SHA256}}
		if r.cached == src.SHA256 {
			out[plan.Etcd] = r.unpacked(out[plan.Etcd])
		}
	}
	return out, nil
}

func (r *rig) unpacked(s provision.Source) provision.Source {
	s.Blob = host.BytesBlob([]byte("etcd out of " + s.Archive.SHA256))
	return s
}

// Fetch implements provision.Binaries.
func (r *rig) Fetch(_ context.Context, platform string, progress func(got, all int64)) (provision.Source, error) {
	if r.offline {
		return provision.Source{}, errors.New("no route to the mirror")
	}
	found, err := r.Find(platform)
	progress(5, 10)
	r.cached = found[plan.Etcd].Archive.SHA256
	r.fetches++
	return r.unpacked(found[plan.Etcd]), err
}

// session is the operator sitting down once more.
func (r *rig) session() *provision.Session {
	for _, m := range r.world.Machines() {
		m.SetClock(func() time.Time { return now })
	}
	r.opened++
	return provision.Open(provision.World{
		Connect: func(ctx context.Context, m *spec.Member) (host.Host, error) {
			name := m.Name
			if other, ok := r.same[name]; ok {
				name = other
			}
			h, err := r.world.Dial(ctx, name)
			if err != nil {
				return nil, err
			}
			return h, nil
		},
		Authority: r.ca, Binaries: r, Clock: func() time.Time { return now }, Holder: host.Holder{Who: "ana@desk", Run: fmt.Sprintf("session-%d", r.opened)}, Runs: r.dir,
		Admin: func(e []provision.Endpoint, _ *tls.Config, d provision.Dial) provision.Admin {
			return &admin{etcd: r.etcd, endpoints: e, dial: d}
		},
	}, r.cluster)
}

// plan observes and plans, without a lock.
func (r *rig) plan() (*plan.Plan, error) {
	s := r.session()
	defer s.Close()
	return r.build(s, plan.Build)
}

type builder func(*spec.Cluster, *plan.Observed, plan.Options) (*plan.Plan, error)

func (r *rig) build(s *provision.Session, b builder) (*plan.Plan, error) {
	o, err := s.Observe(context.Background())
	if err != nil {
		return nil, err
	}
	r.runs++
	return b(r.cluster, o, plan.Options{Now: now, Token: fmt.Sprintf("token-%d", r.runs), SpecDigest: spec.Digest(r.cluster)})
}

// run is one whole run: lock, observe, plan, apply.
func (r *rig) run(ctx context.Context, b builder, events func(provision.Event)) (*plan.Plan, *provision.Report, error) {
	s := r.session()
	defer s.Close()
	if err := s.Lock(ctx, plan.Apply, 0); err != nil {
		return nil, nil, err
	}
	p, err := r.build(s, b)
	if err != nil {
		return nil, nil, err
	}
	if len(p.Held) > 0 {
		return p, nil, fmt.Errorf("held: %+v", p.Held)
	}
	rep, err := s.Apply(ctx, context.Background(), p, provision.RunOptions{ID: fmt.Sprintf("run-%d", r.runs), Events: events})
	return p, rep, err
}

func (r *rig) apply() error {
	_, _, err := r.run(context.Background(), plan.Build, nil)
	return err
}

// settled sees that nothing is left to do and nothing went wrong on the way.
func (r *rig) settled(t testing.TB) {
	t.Helper()
	p, err := r.plan()
	if err != nil {
		t.Fatal(err)
	}
	if !p.Empty() || len(p.Held) > 0 {
		t.Errorf("something is left to do: %+v held %+v", p.Steps, p.Held)
	}
	for v := range r.etcd.violations {
		t.Error(v)
	}
	if got := r.etcd.healthy(); got != len(r.cluster.Members) {
		t.Errorf("%d members are up", got)
	}
}
