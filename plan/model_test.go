package plan_test

import (
	"errors"
	"fmt"
	"maps"
	pathpkg "path"
	"regexp"
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/templates"
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
	born   uint64 // the last member id that etcd gave
	serial int
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

// change changes the members, as an executor asks for it and etcd does it: at another list than the one
// expected it does not ask, and etcd refuses what it always refuses.
func (w *world) change(a plan.Action, blindly bool) error {
	var expect []plan.Ref
	var target plan.Ref
	switch a := a.(type) {
	case *plan.Add:
		expect, target = a.Expect, a.Target
	case *plan.Promote:
		expect, target = a.Expect, a.Target
	case *plan.Expel:
		expect, target = a.Expect, a.Target
	case *plan.Update:
		expect, target = a.Expect, a.Target
	}
	if !plan.Lists(w.list, expect) && !blindly {
		return fmt.Errorf("the members are %v, and not %v that the plan was made for", w.list, expect)
	}
	i := slices.IndexFunc(w.list, target.Is)
	switch a.(type) {
	case *plan.Add:
		return w.add(target.PeerURLs)
	}
	if i < 0 {
		return errors.New("etcdserver: member not found")
	}
	w.list = slices.Clone(w.list)
	switch a := a.(type) {
	case *plan.Update:
		if slices.ContainsFunc(w.list, func(m kvserver.Member) bool {
			return m.ID != w.list[i].ID && slices.Contains(m.PeerURLs, a.PeerURLs[0])
		}) {
			return errors.New("etcdserver: Peer URLs already exists")
		}
		w.list[i].PeerURLs = a.PeerURLs
	case *plan.Promote:
		w.list[i].Learner = false
	case *plan.Expel:
		w.list = slices.Delete(w.list, i, i+1)
	}
	return nil
}

// add lists a learner (membership.ValidateConfigurationChange).
func (w *world) add(urls []string) error {
	for _, m := range w.list {
		if slices.ContainsFunc(urls, func(u string) bool { return slices.Contains(m.PeerURLs, u) }) {
			return errors.New("etcdserver: Peer URLs already exists")
		}
		if m.Learner {
			return errors.New("etcdserver: too many learner members in cluster")
		}
	}
	w.born++
	w.list = append(slices.Clone(w.list), kvserver.Member{ID: w.born, PeerURLs: urls, Learner: true})
	return nil
}

// run starts a member with what lies on its disk.
func (w *world) run(name string) {
	if err := w.launch(w.seat(name)); err != nil {
		panic(fmt.Sprintf("%s does not start: %v", name, err))
	}
}

// launch starts the process of a seat. With an empty disk it becomes who its bootstrap file makes it.
func (w *world) launch(s seat) error {
	h, l := s.host, plan.LayoutOf(w.spec, s.member)
	if !h.Data.Member {
		id, err := w.become(s)
		if err != nil {
			return err
		}
		w.ids[s.url] = id
	}
	exe := l.KVServer
	if w.spec.Server.Etcd != nil {
		exe = l.Etcd
	}
	h.Unit = node.UnitState{Loaded: h.Unit.Loaded, Enabled: h.Unit.Enabled, NeedReload: h.Unit.NeedReload, Active: "activating", PID: 100}
	config := h.Files[l.EtcdYAML].Content
	w.told[s.url] = kvserver.Member{Name: string(nameIn.FindSubmatch(config)[1]), ClientURLs: []string{"https://" + templates.ClientAddresses(config)[0]}}
	h.Unit.ExeDigest = h.Files[exe].Digest
	h.Unit.ConfigDigest = kvserver.ConfigDigest(h.Files[l.EtcdYAML].Content, h.Files[l.UnitFile].Content)
	h.Data = node.DirState{Exists: true, Member: true, Entries: []string{"member"}, Count: 1, Aside: h.Data.Aside}
	if l.WAL != "" {
		h.WAL = node.DirState{Exists: true, Member: true, Entries: []string{"wal"}, Count: 1}
	}
	return nil
}

var nameIn = regexp.MustCompile(`(?m)^name: (.*)$`)

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

// become says which member one with an empty disk is. The first start of a cluster makes the whole list, as etcd's
// static bootstrap does. Who joins has to know exactly the members that are listed, by their peer URLs
// (membership.ValidateClusterAndAssignIDs).
func (w *world) become(s seat) (uint64, error) {
	if w.list == nil {
		for _, m := range w.spec.Members {
			w.born++
			w.list = append(w.list, kvserver.Member{ID: w.born, Name: m.Name, PeerURLs: []string{urlOf(m)}})
		}
	}
	i := slices.IndexFunc(w.list, func(m kvserver.Member) bool { return slices.Contains(m.PeerURLs, s.url) })
	if i < 0 {
		return 0, errors.New("the cluster does not list it")
	}
	if known, existing := initial(s.host.Files[plan.LayoutOf(w.spec, s.member).Bootstrap].Content); existing {
		var listed []string
		for _, m := range w.list {
			listed = append(listed, m.PeerURLs...)
		}
		slices.Sort(listed)
		if !slices.Equal(known, listed) {
			return 0, fmt.Errorf("error validating peerURLs: it knows %v, and listed are %v", known, listed)
		}
	}
	return w.list[i].ID, nil
}

var initialCluster = regexp.MustCompile(`(?m)^initial-cluster: (.*)$`)

// initial reads a bootstrap file: the peer URLs in it, sorted, and whether it is one of a cluster that exists.
func initial(file []byte) (urls []string, existing bool) {
	found := initialCluster.FindSubmatch(file)
	if found == nil {
		return nil, false
	}
	for _, m := range strings.Split(strings.Trim(string(found[1]), `"'`), ",") {
		_, u, _ := strings.Cut(m, "=")
		urls = append(urls, u)
	}
	slices.Sort(urls)
	return urls, strings.Contains(string(file), "initial-cluster-state: existing")
}

func (w *world) kill(name string) { halt(w.seat(name).host) }

func halt(h *plan.Host) {
	u := &h.Unit
	*u = node.UnitState{Loaded: u.Loaded, Enabled: u.Enabled, NeedReload: u.NeedReload, Active: "inactive"}
}

// inspect has kvserver, where it is, read the data of members that do not run, as a look does.
func (w *world) inspect() {
	for _, s := range w.seats() {
		s.host.Disk = nil
		if id := w.ids[s.url]; id != 0 && s.seen.Problem == "" && !s.host.Unit.Running() && s.host.Data.Member && s.host.Files[plan.LayoutOf(w.spec, s.member).KVServer].Exists {
			s.host.Disk = &kvserver.Inspection{Member: true, ClusterID: "7", MemberID: kvserver.ID(id), Log: &kvserver.InspectedLog{Term: 2, LastIndex: 5}}
		}
	}
}

// listed is the member that a seat's data makes it, if the cluster lists it.
func (w *world) listed(s seat) (kvserver.Member, bool) {
	i := slices.IndexFunc(w.list, func(m kvserver.Member) bool {
		return m.ID == w.ids[s.url] && (s.host.Data.Member || s.host.Former != nil)
	})
	if i < 0 {
		return kvserver.Member{}, false
	}
	return w.list[i], true
}

// running are the members whose processes do, by their seats.
func (w *world) running() []seat {
	return slices.DeleteFunc(w.seats(), func(s seat) bool {
		_, listed := w.listed(s)
		return !listed || !s.host.Unit.Running() || s.host.Unit.Looping()
	})
}

// voting are those of seats that vote, and total is how many voters the cluster has.
func (w *world) voting(seats []seat) (voters []seat, total int) {
	for _, m := range w.list {
		if !m.Learner {
			total++
		}
	}
	return slices.DeleteFunc(slices.Clone(seats), func(s seat) bool {
		m, _ := w.listed(s)
		return m.Learner
	}), total
}

// elect finds out what the members would say now.
func (w *world) elect() {
	w.obs.Cluster.Answers, w.obs.Cluster.Strangers, w.obs.Left = map[string]plan.Answer{}, nil, nil
	if w.list == nil {
		return
	}
	up := w.running()
	voters, total := w.voting(up)
	quorum := len(voters) > total/2
	for _, s := range w.seats() {
		if _, listed := w.listed(s); !listed && quorum && s.host.Unit.Running() {
			halt(s.host) // it hears that it was removed, and ends
		}
	}
	for _, s := range up {
		if quorum {
			w.publish(s)
			w.ready(s)
		}
	}
	for _, m := range w.spec.Members {
		s := w.seat(m.Name)
		s.host.Serves = ""
		if at := w.told[s.url].ClientURLs; slices.Contains(up, s) && at[0] != node.URL("https", m.Address, m.ClientPort) {
			s.host.Serves = strings.TrimPrefix(at[0], "https://")
		}
		w.obs.Cluster.Answers[m.Name] = w.ask(w.seat(m.Name), voters, quorum, false)
	}
	census := plan.TakeCensus(w.spec, w.obs)
	for _, l := range census.Membership.Members() {
		if l.Spec == "" && l.ID != 0 {
			w.stranger(l, voters, quorum)
		}
	}
	for _, r := range plan.Leavings(w.obs, census) {
		w.leftOver(r)
	}
}

// publish is what a member does once it serves: it says its name and where its clients find it.
func (w *world) publish(s seat) {
	w.list = slices.Clone(w.list)
	for i, m := range w.list {
		if m.ID == w.ids[s.url] {
			w.list[i].Name, w.list[i].ClientURLs = w.told[s.url].Name, w.told[s.url].ClientURLs
		}
	}
}

// ask is what a seat's member answers. A learner answers for itself only, and gives no list.
func (w *world) ask(s seat, voters []seat, quorum, past bool) plan.Answer {
	m, listed := w.listed(s)
	switch {
	case s.seen.Problem != "" && !past:
		return plan.Answer{Problem: s.seen.Problem}
	case !listed, !s.host.Unit.Running(), s.host.Unit.Looping():
		return plan.Answer{Asked: plan.Dead, Problem: "connection refused"}
	}
	st := kvserver.Status{ClusterID: 7, MemberID: m.ID, Version: w.version(), Revision: 1, Learner: m.Learner}
	if !quorum {
		return plan.Answer{Asked: plan.NoLeader, Status: &st, Problem: "it has no leader"}
	}
	st.Leader = w.ids[voters[0].url]
	a := plan.Answer{Asked: plan.Answered, Status: &st}
	if !m.Learner {
		a.Members = slices.Clone(w.list)
	}
	return a
}

// stranger looks at a member that the spec does not have: its API through another member's host, its host where it lets us in.
func (w *world) stranger(l plan.Listed, voters []seat, quorum bool) {
	if w.obs.Cluster.Strangers == nil {
		w.obs.Cluster.Strangers = map[uint64]plan.Stranger{}
	}
	out := plan.Stranger{Member: plan.Outsider(w.spec, l), Host: nobodys()}
	if s, ok := w.at(l.PeerURLs); ok {
		w.call(s, out.Member.Name)
		out.Host = s.seen
		if len(l.ClientURLs) > 0 {
			out.Answer = w.ask(s, voters, quorum, true)
		}
	} else if len(l.ClientURLs) > 0 {
		out.Answer = plan.Answer{Asked: plan.Dead, Problem: "no route to host"}
	}
	w.obs.Cluster.Strangers[l.ID] = out
}

// nobodys is a host that nobody knows.
func nobodys() *plan.Host { return &plan.Host{Problem: "its host key is not known"} }

func (w *world) leftOver(r plan.RecordedMember) {
	if w.obs.Left == nil {
		w.obs.Left = map[string]plan.Stranger{}
	}
	out := plan.Stranger{Member: plan.LeftOver(w.spec, r), Host: nobodys()}
	if s, ok := w.at(r.PeerURLs); ok {
		w.call(s, out.Member.Name)
		out.Host = s.seen
	}
	w.obs.Left[r.ID] = out
}

// call notes what a plan will call a host outside of the spec.
func (w *world) call(s seat, name string) {
	for _, o := range w.outside {
		if o.member == s.member {
			o.called = name
		}
	}
}

// ready is what a host does when its member serves: it notes that, and drops
// the file that would let it start as new.
func (w *world) ready(s seat) {
	h := s.host
	h.Unit.Active, h.Unit.Sub = "active", "running"
	h.Mark = &kvserver.Mark{Format: kvserver.MarkFormat, ClusterID: "7", MemberID: kvserver.ID(w.ids[s.url]), At: now}
	delete(h.Files, plan.LayoutOf(w.spec, s.member).Bootstrap)
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
			w.answer(n, func(a *plan.Answer) { a.Members = slices.Clone(w.list) })
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
