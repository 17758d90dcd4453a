package plan_test

import (
	"fmt"
	"maps"
	pathpkg "path"
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan"
	"quorate/plan/spec"
)

// now is the operator's clock in every story.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a small model of hosts and etcd membership: enough to say what
// would be observed before, between and after the steps of a plan.
type world struct {
	spec *spec.Cluster
	obs  *plan.Observed
	// cluster: who has joined, as etcd would list it once a quorum runs.
	voters []kvserver.Member
	serial int
}

// bare is a world of hosts that nobody has touched.
func bare(c *spec.Cluster) *world {
	w := &world{spec: c, obs: &plan.Observed{
		Hosts: map[string]*plan.Host{}, Clients: map[string]plan.ClientFiles{},
		Binaries: map[string]map[string]plan.Binary{
			"linux/amd64": {"kvserver": {Digest: fake("kvserver"), Size: 30 << 20, Version: "3.7.3"}},
		},
		Cluster: plan.Cluster{Answers: map[string]plan.Answer{}},
	}}
	if e := c.Server.Etcd; e != nil {
		src := e.Sources["amd64"]
		w.obs.Binaries["linux/amd64"]["etcd"] = plan.Binary{Version: e.Version, Archive: plan.Archive{URL: src.URL, SHA256: src.SHA256}}
		w.fetched()
	}
	for _, m := range c.Members {
		w.obs.Hosts[m.Name] = bareHost(c, m)
	}
	return w
}

func bareHost(c *spec.Cluster, m *spec.Member) *plan.Host {
	l := plan.LayoutOf(c, m)
	h := &plan.Host{
		Facts: node.Facts{OS: "linux", Arch: "amd64", Hostname: m.Name + "-host", Manager: "systemd", Root: true},
		Files: map[string]node.FileState{}, Certificates: map[string]pki.Certificate{}, Ports: map[int]node.PortState{},
		Space: map[string]int64{l.Bin: 10 << 30, l.Data: 10 << 30}, Mounts: map[string]node.MountState{},
		Unit: node.UnitState{Active: "inactive"},
	}
	if m.Connection.Type == "local" {
		h.Manager, h.Root = "supervise", false
	}
	for _, p := range []string{"/etc", "/etc/systemd", "/etc/systemd/system", "/opt", "/var", "/var/lib"} {
		h.Files[p] = node.FileState{Exists: true, Type: "dir", Mode: 0o755, Owner: "root", Group: "root"}
	}
	for _, p := range []int{m.ClientPort, m.PeerPort} {
		h.Ports[p] = node.PortState{Known: true}
	}
	return h
}

// fetched has the archive of etcd on the operator's side.
func (w *world) fetched() {
	etcd := w.obs.Binaries["linux/amd64"]["etcd"]
	etcd.Digest, etcd.Size = fake("etcd"+etcd.Archive.SHA256[:2]), 25<<20
	w.obs.Binaries["linux/amd64"]["etcd"] = etcd
}

// digest is what a plan's digest means: what came out of an archive is known once it is fetched.
func (w *world) digest(planned string) string {
	if etcd := w.obs.Binaries["linux/amd64"]["etcd"]; planned == plan.FromArchive(etcd.Archive) {
		return etcd.Digest
	}
	return planned
}

// fake is a digest that is easy to read in a golden file.
func fake(s string) string { return fmt.Sprintf("%-64s", s+"-digest") }

// do lets one step come true.
func (w *world) do(s plan.Step) {
	h := w.obs.Hosts[s.Member]
	switch a := s.Action.(type) {
	case *plan.CreateCA:
		w.serial++
		w.obs.CA = plan.CA{Exists: true, PEM: fmt.Sprintf("CA %d\n", w.serial), Encrypted: a.Encrypted, Cert: pki.Certificate{
			Subject: a.CommonName, IsCA: true, Fingerprint: fmt.Sprintf("ca-%d", w.serial), NotBefore: now, NotAfter: now.Add(a.Lifetime), KeyAlgorithm: a.Algorithm}}
	case *plan.Push:
		for _, b := range a.Binaries {
			w.put(h, b.Path, node.FileState{Type: "file", Mode: b.Mode, Digest: w.digest(b.Digest)}, b.Owner)
		}
	case *plan.Files:
		if a.Account != "" {
			h.Accounts = map[string]bool{a.Account: true}
		}
		for _, f := range a.Files {
			w.file(s.Member, h, f)
		}
		for _, p := range a.Absent {
			delete(h.Files, p)
		}
		h.Unit.Loaded = true
		h.Unit.Enabled = h.Unit.Enabled || a.Enable
		h.Unit.NeedReload = h.Unit.NeedReload && !a.Reload
	case *plan.Certificates:
		w.put(h, a.CA, node.FileState{Type: "file", Mode: 0o644, Digest: sha(w.obs.CA.PEM), Content: []byte(w.obs.CA.PEM)}, a.Owner)
		h.Certificates[a.CA] = w.obs.CA.Cert
		for _, c := range a.Issue {
			w.put(h, c.Key, node.FileState{Type: "file", Mode: 0o600}, a.Owner)
			w.put(h, c.Path, node.FileState{Type: "file", Mode: 0o644, Digest: fake("cert")}, a.Owner)
			h.Certificates[c.Path] = w.issue(c)
		}
	case *plan.IssueClient:
		cert := w.issue(a.Certificate)
		w.obs.Clients[a.Name] = plan.ClientFiles{Cert: &cert, Key: true, Bundle: w.obs.CA.Cert.Fingerprint}
	case *plan.Reach, *plan.Peers:
	case *plan.Fetch:
		w.fetched()
	case *plan.EncryptCA:
		w.obs.CA.Unsealed, w.obs.CA.Encrypted = false, true
	case *plan.Start:
		for _, m := range a.Members {
			w.run(m.Member)
		}
		w.elect()
	case *plan.Restart:
		w.run(s.Member)
		w.elect()
	case *plan.Relocate:
		for _, t := range a.Moves {
			w.lies(s.Member, t.To.Path(), "there")
		}
		if a.Restart != nil {
			w.run(s.Member)
			w.elect()
		}
	case *plan.Record:
		m := a.Manifest
		if l := plan.LayoutOf(w.spec, w.spec.Member(s.Member)); m.DataDir == l.Data && m.WALDir == l.WAL {
			h.Former = nil
		}
		m.Files = maps.Clone(m.Files)
		for path, d := range m.Files {
			m.Files[path] = w.digest(d)
		}
		h.Manifest = &m
		w.put(h, a.Path, node.FileState{Type: "file", Mode: 0o644, Content: m.Encode(), Digest: sha(string(m.Encode()))}, a.Owner)
	case *plan.Stop:
		for _, m := range a.Members {
			w.kill(m.Member)
			w.obs.Hosts[m.Member].Unit.Enabled = false
		}
		w.elect()
	case *plan.Remove:
		c := w.spec.Member(s.Member)
		fresh := bareHost(w.spec, c)
		fresh.Accounts = h.Accounts
		w.obs.Hosts[s.Member] = fresh
	case *plan.Remember:
		r := a.Recorded
		r.ClusterID, r.Members = "7", plan.RecordedMembers(w.voters)
		w.obs.Recorded = &r
	case *plan.Unrecord:
		w.obs.Recorded = nil
	case *plan.Forget:
		w.obs.Recorded = nil
		w.obs.CA = plan.CA{}
		w.obs.Clients = map[string]plan.ClientFiles{}
	default:
		panic(fmt.Sprintf("the model does not know %T", a))
	}
}

func (w *world) file(member string, h *plan.Host, f plan.WriteFile) {
	l := plan.LayoutOf(w.spec, w.spec.Member(member))
	if f.Dir {
		w.put(h, f.Path, node.FileState{Type: "dir", Mode: f.Mode}, f.Owner)
		if f.Path == l.Data && !h.Data.Exists {
			h.Data = node.DirState{Exists: true, Empty: true}
		}
		return
	}
	w.put(h, f.Path, node.FileState{Type: "file", Mode: f.Mode, Content: []byte(f.Content), Digest: sha(f.Content)}, f.Owner)
	if f.Path == l.Manifest {
		m, err := plan.ParseManifest([]byte(f.Content))
		if err != nil {
			panic(err)
		}
		h.Manifest = m
	}
}

func (w *world) put(h *plan.Host, path string, f node.FileState, owner string) {
	f.Exists = true
	if u, g, ok := cut(owner); ok {
		f.Owner, f.Group = u, g
	}
	h.Files[path] = f
	for p := pathpkg.Dir(path); p != "/" && !h.Files[p].Exists; p = pathpkg.Dir(p) {
		h.Files[p] = node.FileState{Exists: true, Type: "dir", Mode: 0o755, Owner: f.Owner, Group: f.Group}
	}
}

func (w *world) issue(c plan.Certificate) pki.Certificate {
	w.serial++
	server, client := pki.Usages(c.Request.Profile)
	return pki.Certificate{
		Subject: c.Request.CommonName, Organization: c.Request.Organization, SANs: c.Request.SANs, Profiles: pki.Profiles(server, client),
		KeyAlgorithm: c.Algorithm, NotBefore: now.Add(-pki.Backdate), NotAfter: pki.NotAfter(now, c.Request.Lifetime, w.obs.CA.Cert),
		Fingerprint: fmt.Sprintf("cert-%d", w.serial), Issuer: w.obs.CA.Cert.Fingerprint,
	}
}

// run starts a member with what lies on its disk. Its first start makes data
// and, as etcd's static bootstrap does, the whole member list.
func (w *world) run(name string) {
	c := w.spec.Member(name)
	h, l := w.obs.Hosts[name], plan.LayoutOf(w.spec, c)
	exe := l.KVServer
	if w.spec.Server.Etcd != nil {
		exe = l.Etcd
	}
	h.Unit = node.UnitState{Loaded: h.Unit.Loaded, Enabled: h.Unit.Enabled, NeedReload: h.Unit.NeedReload, Active: "activating", PID: 100}
	h.Unit.ExeDigest = h.Files[exe].Digest
	h.Unit.ConfigDigest = kvserver.ConfigDigest(h.Files[l.EtcdYAML].Content, h.Files[l.UnitFile].Content)
	h.Data = node.DirState{Exists: true, Member: true, Entries: []string{"member"}, Count: 1}
	if l.WAL != "" {
		h.WAL = node.DirState{Exists: true, Member: true, Entries: []string{"wal"}, Count: 1}
	}
	if w.voters == nil {
		for i, m := range w.spec.Members {
			w.voters = append(w.voters, kvserver.Member{ID: uint64(i + 1), Name: m.Name, PeerURLs: []string{node.URL("https", m.Address, m.PeerPort)}})
		}
	}
}

// former looks where the data of members is whose manifests name other folders than the spec: all of it is there.
func (w *world) former() {
	for _, m := range w.spec.Members {
		h, l := w.obs.Hosts[m.Name], plan.LayoutOf(w.spec, m)
		if man := h.Manifest; man == nil || man.DataDir == l.Data && man.WALDir == l.WAL {
			continue
		}
		h.Former = &plan.Former{Data: h.Data, WAL: h.WAL}
		for _, t := range l.Moves(h.Manifest.DataDir, h.Manifest.WALDir) {
			h.Former.Moves = append(h.Former.Moves, plan.SeenMove{TreeMove: t, Here: h.Data.Member})
			for _, dir := range []string{t.From.Dir, t.To.Dir} {
				h.Mounts[dir] = node.MountState{Known: true, Point: "/"}
				h.Space[dir] = 10 << 30
			}
		}
		if h.Manifest.DataDir != l.Data {
			h.Data = node.DirState{}
		}
		if h.Manifest.WALDir != l.WAL {
			h.WAL = node.DirState{}
		}
		w.logs(m.Name)
	}
}

// lies has a tree be where it was ("here"), where it is to go ("there"), at both ("both"), at neither ("nowhere"), or
// copied and not renamed ("copied").
func (w *world) lies(name, to, where string) {
	f := w.obs.Hosts[name].Former
	for i, t := range f.Moves {
		if t.To.Path() == to {
			f.Moves[i].Here = where == "here" || where == "both"
			f.Moves[i].There = where == "there" || where == "both"
			f.Moves[i].Waits = where == "copied"
		}
	}
	w.logs(name)
}

// logs has a look say where the log of a member is that is on the move: at the new place once it has come there.
func (w *world) logs(name string) {
	h := w.obs.Hosts[name]
	log := h.Former.Moves[0] // of the two the log is the one with "wal" in its name; alone, it goes with the data
	for _, t := range h.Former.Moves {
		if strings.HasSuffix(t.To.Name, "wal") {
			log = t
		}
	}
	h.Data.Member, h.WAL.Member = log.There, log.There
	h.Data.Exists = h.Data.Exists || log.There
}

func (w *world) kill(name string) {
	u := &w.obs.Hosts[name].Unit
	*u = node.UnitState{Loaded: u.Loaded, Enabled: u.Enabled, NeedReload: u.NeedReload, Active: "inactive"}
}

// inspect has kvserver, where it is, read the data of members that do not run, as a look does.
func (w *world) inspect() {
	for _, m := range w.spec.Members {
		h, l := w.obs.Hosts[m.Name], plan.LayoutOf(w.spec, m)
		h.Disk = nil
		for _, v := range w.voters {
			if v.Name == m.Name && h.Problem == "" && !h.Unit.Running() && h.Data.Member && h.Files[l.KVServer].Exists {
				h.Disk = &kvserver.Inspection{Member: true, ClusterID: "7", MemberID: kvserver.ID(v.ID), Log: &kvserver.InspectedLog{Term: 2, LastIndex: 5}}
			}
		}
	}
}

// elect finds out what the members would say now.
func (w *world) elect() {
	w.obs.Cluster.Answers = map[string]plan.Answer{}
	var up []kvserver.Member
	for _, v := range w.voters {
		h := w.obs.Hosts[v.Name]
		switch {
		case h == nil:
		case h.Problem != "":
			w.obs.Cluster.Answers[v.Name] = plan.Answer{Problem: h.Problem}
		case !h.Unit.Running(), h.Unit.Looping():
			w.obs.Cluster.Answers[v.Name] = plan.Answer{Asked: plan.Dead, Problem: "connection refused"}
		default:
			up = append(up, v)
		}
	}
	quorum := len(up) > len(w.voters)/2
	for _, v := range up {
		st := kvserver.Status{ClusterID: 7, MemberID: v.ID, Version: w.version(), Revision: 1}
		if !quorum {
			w.obs.Cluster.Answers[v.Name] = plan.Answer{Asked: plan.NoLeader, Status: &st, Problem: "it has no leader"}
			continue
		}
		for i := range w.voters { // who serves has published where
			if w.voters[i].ID == v.ID {
				w.voters[i].ClientURLs = []string{"https://" + v.Name}
			}
		}
		w.ready(v)
		st.Leader = up[0].ID
		w.obs.Hosts[v.Name].Unit.Active, w.obs.Hosts[v.Name].Unit.Sub = "active", "running"
		w.obs.Cluster.Answers[v.Name] = plan.Answer{Asked: plan.Answered, Status: &st, Members: w.voters}
	}
}

// ready is what a host does when its member serves: it notes that, and drops
// the file that would let it start as new.
func (w *world) ready(v kvserver.Member) {
	h, l := w.obs.Hosts[v.Name], plan.LayoutOf(w.spec, w.spec.Member(v.Name))
	h.Mark = &kvserver.Mark{Format: kvserver.MarkFormat, ClusterID: "7", MemberID: kvserver.ID(v.ID), At: now}
	delete(h.Files, l.Bootstrap)
}

// say changes what the members that answer say of themselves.
func (w *world) say(change func(name string, s *kvserver.Status)) {
	for n, a := range w.obs.Cluster.Answers {
		if a.Status != nil {
			st := *a.Status
			change(n, &st)
			a.Status = &st
			w.obs.Cluster.Answers[n] = a
		}
	}
}

// answer changes what one member answers.
func (w *world) answer(name string, change func(*plan.Answer)) {
	a := w.obs.Cluster.Answers[name]
	change(&a)
	w.obs.Cluster.Answers[name] = a
}

// relist has every member that serves give the list as it is now.
func (w *world) relist() {
	for n, a := range w.obs.Cluster.Answers {
		if a.Members != nil {
			w.answer(n, func(a *plan.Answer) { a.Members = slices.Clone(w.voters) })
		}
	}
}

func (w *world) version() string {
	if e := w.spec.Server.Etcd; e != nil {
		return e.Version
	}
	return "3.7.3"
}

// settle plans and lets every step come true; what is left must be empty.
func (w *world) settle() error {
	p, err := plan.Build(w.spec, w.obs, options())
	if err != nil {
		return err
	}
	for _, s := range p.Steps {
		w.do(s)
	}
	if len(p.Held) > 0 {
		return fmt.Errorf("held: %+v", p.Held)
	}
	return nil
}

// up lists the healthy members.
func (w *world) up() []string {
	var out []string
	for n, a := range w.obs.Cluster.Answers {
		if a.Asked == plan.Answered {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

func options() plan.Options { return plan.Options{Now: now, Token: "token-1", SpecDigest: "spec-1"} }
