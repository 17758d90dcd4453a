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
	// list is the cluster's configuration, as etcd lists it once a quorum runs; nil: it has not formed.
	list []kvserver.Member
	// ids say whose data lies on a host, by the peer URL there.
	ids map[string]uint64
	// told is what processes tell of themselves, by the peer URL there: name, and where clients find them.
	told map[string]kvserver.Member
	// outside are hosts of members that the spec has no more.
	outside []*outsider
	// unseen are hosts that cannot be looked at, as they are, by peer URL; none is started by anybody.
	unseen map[string]*plan.Host
	// ran is what depended on the cluster, and ran, when a restore began that is unfinished.
	ran    []kvserver.RestoreDependents
	born   uint64 // the last member id that etcd gave
	serial int
	// disks and backups are what a recovery finds; said is what is told before the plan.
	disks   map[string]plan.DiskSeen
	backups []plan.BackupSeen
	said    string
}

// outsider is a host that the spec has no more.
type outsider struct {
	member *spec.Member // as the spec had it
	host   *plan.Host   // as a look would see it
	called string       // in the plan that was made last
}

// seat is where a member's process runs: a host, or a folder on this one.
type seat struct {
	url    string // of its peers
	member *spec.Member
	host   *plan.Host // as it is
	seen   *plan.Host // as a look sees it
}

func urlOf(m *spec.Member) string { return node.URL("https", m.Address, m.PeerPort) }

// seats are all hosts, the spec's first.
func (w *world) seats() []seat {
	var out []seat
	add := func(m *spec.Member, h *plan.Host) {
		s := seat{url: urlOf(m), member: m, host: h, seen: h}
		if is := w.unseen[s.url]; is != nil && h.Problem != "" {
			s.host = is
		}
		out = append(out, s)
	}
	for _, m := range w.spec.Members {
		add(m, w.obs.Hosts[m.Name])
	}
	for _, o := range w.outside {
		add(o.member, o.host)
	}
	return out
}

// seat is the one of a name: the spec's, else what the last plan called one outside of it, else what the spec called it once.
func (w *world) seat(name string) seat {
	seats := w.seats()
	for i, s := range seats {
		if i < len(w.spec.Members) && s.member.Name == name {
			return s
		}
	}
	for i, o := range w.outside {
		if o.called == name {
			return seats[len(w.spec.Members)+i]
		}
	}
	for _, s := range slices.Backward(seats) {
		if s.member.Name == name {
			return s
		}
	}
	panic(fmt.Sprintf("there is no host of %q", name))
}

// at is the seat of a peer URL; ok is false where no host is known there.
func (w *world) at(urls []string) (s seat, ok bool) {
	for _, s := range w.seats() {
		if slices.Contains(urls, s.url) {
			return s, true
		}
	}
	return seat{}, false
}

// set puts another host in the place of one.
func (w *world) set(s seat, h *plan.Host) {
	for _, m := range w.spec.Members {
		if urlOf(m) == s.url {
			w.obs.Hosts[m.Name] = h
		}
	}
	for _, o := range w.outside {
		if urlOf(o.member) == s.url {
			o.host = h
		}
	}
}

// unreach makes a host one that nobody gets into; what runs there goes on.
func (w *world) unreach(s seat, problem string) {
	w.unseen[s.url] = s.host
	w.set(s, &plan.Host{Problem: problem})
}

// reach lets one be looked at again.
func (w *world) reach(s seat) {
	w.set(s, s.host)
	delete(w.unseen, s.url)
}

// respec goes on with another spec. A host stays what it is, whatever it is called.
func (w *world) respec(c *spec.Cluster) {
	hosts := map[string]*plan.Host{}
	for _, s := range w.seats() {
		hosts[s.url] = s.seen
	}
	former := w.seats()
	w.obs.Hosts, w.outside = map[string]*plan.Host{}, nil
	for _, m := range c.Members {
		h := hosts[urlOf(m)]
		if h == nil {
			h = bareHost(c, m)
		}
		w.obs.Hosts[m.Name] = h
		delete(hosts, urlOf(m))
	}
	for _, s := range former {
		if h := hosts[s.url]; h != nil {
			w.outside = append(w.outside, &outsider{member: s.member, host: h})
		}
	}
	w.spec = c
	w.elect()
}

// readdress goes on with a spec that has the same members on the same hosts under other addresses or ports.
func (w *world) readdress(c *spec.Cluster) {
	ids, told, unseen := map[string]uint64{}, map[string]kvserver.Member{}, map[string]*plan.Host{}
	for i, m := range c.Members {
		was, is := urlOf(w.spec.Members[i]), urlOf(m)
		ids[is], told[is] = w.ids[was], w.told[was]
		if h := w.unseen[was]; h != nil {
			unseen[is] = h
		}
		for _, port := range []int{m.ClientPort, m.PeerPort} {
			if h := w.obs.Hosts[m.Name]; h.Problem == "" && !h.Ports[port].Known {
				h.Ports[port] = node.PortState{Known: true}
			}
		}
	}
	w.spec, w.ids, w.told, w.unseen = c, ids, told, unseen
	w.elect()
}

// bare is a world of hosts that nobody has touched.
func bare(c *spec.Cluster) *world {
	w := &world{spec: c, ids: map[string]uint64{}, told: map[string]kvserver.Member{}, unseen: map[string]*plan.Host{}, obs: &plan.Observed{
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
	w.obs.Others = map[string]*plan.Host{}
	for _, m := range c.Consumers() {
		w.obs.Others[m.Name] = bareHost(c, m)
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
	var h *plan.Host
	var on seat
	if other := w.obs.Others[s.Member]; other != nil {
		h = other
	} else if s.Member != "" {
		on = w.seat(s.Member)
		h = on.host
	}
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
		if a.StartTimer != "" {
			h.BackupTimer = node.UnitState{Loaded: true, Enabled: true, Active: "active", Sub: "waiting"}
		}
		if a.StopTimer != "" {
			h.BackupTimer = node.UnitState{}
		}
	case *plan.Certificates:
		w.certify(h, a)
	case *plan.IssueClient:
		cert := w.issue(a.Certificate)
		w.obs.Clients[a.Name] = plan.ClientFiles{Cert: &cert, Key: true, Bundle: w.obs.CA.Cert.Fingerprint, Endpoints: w.obs.Clients[a.Name].Endpoints}
	case *plan.Endpoints:
		c := w.obs.Clients[a.Client]
		c.Endpoints = a.Content
		w.obs.Clients[a.Client] = c
	case *plan.Install:
		w.install(h, a)
	case *plan.Reach, *plan.Peers:
	case *plan.Fetch:
		w.fetched()
	case *plan.EncryptCA:
		w.obs.CA.Unsealed, w.obs.CA.Encrypted = false, true
	case *plan.Aside:
		w.kill(s.Member)
		h.Data = node.DirState{Exists: true, Empty: true, Aside: append(h.Data.Aside, a.Dirs[0]+"/.aside/"+a.Name)}
		if h.WAL.Exists {
			h.WAL = node.DirState{Exists: true, Empty: true}
		}
		h.Disk = nil
		delete(w.ids, on.url)
		w.elect()
	case *plan.Start:
		for _, m := range a.Members {
			w.run(m.Member)
		}
		w.elect()
	case *plan.Add, *plan.Promote, *plan.Expel:
		if err := w.change(a, false); err != nil {
			panic(fmt.Sprintf("%s: %v", s.ID, err))
		}
		w.elect()
	case *plan.Update:
		if err := w.change(a, false); err != nil {
			panic(fmt.Sprintf("%s: %v", s.ID, err))
		}
		if a.Restart != nil {
			w.run(s.Member)
		}
		w.elect()
	case *plan.Restart:
		w.run(s.Member)
		w.elect()
	case *plan.Relocate:
		for _, t := range a.Moves {
			w.lies(s.Member, t.To.Path(), "there")
		}
		if a.Update != nil {
			if err := w.change(a.Update, false); err != nil {
				panic(fmt.Sprintf("%s: %v", s.ID, err))
			}
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
			w.seat(m.Member).host.Unit.Enabled = false
		}
		w.elect()
	case *plan.Remove:
		if on.host == nil || strings.Contains(s.ID, " on ") { // a client, or kvserver where no member is
			for _, p := range slices.Concat(a.Files, a.Folders) {
				delete(h.Files, p)
			}
			return
		}
		fresh := bareHost(w.spec, on.member)
		fresh.Accounts, fresh.Data.Aside = h.Accounts, h.Data.Aside
		for _, dir := range a.Aside {
			fresh.Data.Aside = append(fresh.Data.Aside, dir+"/.aside/"+a.AsideName)
		}
		w.set(on, fresh)
		delete(w.ids, on.url)
	case *plan.Remember:
		r := a.Recorded
		r.ClusterID, r.Members = "7", plan.RecordedMembers(w.list)
		w.obs.Recorded = &r
		w.elect()
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

// install puts a client on a machine.
func (w *world) install(h *plan.Host, a *plan.Install) {
	for _, f := range a.Files {
		state := node.FileState{Type: "dir", Mode: f.Mode}
		if !f.Dir {
			state = node.FileState{Type: "file", Mode: f.Mode, Content: []byte(f.Content), Digest: sha(f.Content)}
		}
		w.put(h, f.Path, state, f.Owner)
	}
	if a.Certificates != nil {
		w.certify(h, a.Certificates)
	}
	delete(h.Files, a.Pending.Path)
}

// certify puts keys and certificates on a machine.
func (w *world) certify(h *plan.Host, a *plan.Certificates) {
	w.put(h, a.CA, node.FileState{Type: "file", Mode: 0o644, Digest: sha(w.obs.CA.PEM), Content: []byte(w.obs.CA.PEM)}, a.Owner)
	h.Certificates[a.CA] = w.obs.CA.Cert
	for _, c := range a.Issue {
		w.put(h, c.Key, node.FileState{Type: "file", Mode: 0o600}, a.Owner)
		w.put(h, c.Path, node.FileState{Type: "file", Mode: 0o644, Digest: fake("cert")}, a.Owner)
		h.Certificates[c.Path] = w.issue(c)
	}
}

func (w *world) file(member string, h *plan.Host, f plan.WriteFile) {
	l := plan.LayoutOf(w.spec, w.seat(member).member)
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

func options() plan.Options { return plan.Options{Now: now, Token: "token-1", SpecDigest: "spec-1"} }
