package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"sync"
	"syscall"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision/host"
)

// apiTimeout bounds one question to a member's API while observing. etcd
// itself gives a linearizable read up to seven seconds (server's
// ReqTimeout: five plus two elections); who waits for a quorum that long has none.
const apiTimeout = 7 * time.Second

// Observe takes one look at the world: every host, in parallel, over one
// connection and with one script each, and the members' API through the same
// connections. It writes nothing. A host that cannot be seen is marked, not
// an error; errors are about this side: the CA, the client certificates, the binaries' folder.
func (s *Session) Observe(ctx context.Context) (*plan.Observed, error) {
	o := &plan.Observed{
		Hosts: map[string]*plan.Host{}, Others: map[string]*plan.Host{}, Binaries: map[string]map[string]plan.Binary{},
		BinaryProblems: map[string]string{}, Clients: map[string]plan.ClientFiles{},
		Cluster: plan.Cluster{Answers: map[string]plan.Answer{}},
	}
	var err error
	if o.CA, err = s.world.Authority.Look(); err != nil {
		return nil, fmt.Errorf("cannot look at the CA of cluster %q: %w", s.cluster.Name, err)
	}
	if o.Recorded, err = s.world.Authority.Recorded(); err != nil {
		return nil, fmt.Errorf("cannot read what was noted down of cluster %q: %w", s.cluster.Name, err)
	}
	for _, c := range s.cluster.Clients {
		if o.Clients[c.Name], err = s.world.Authority.LookClient(c); err != nil {
			return nil, fmt.Errorf("cannot look at the client certificate %q: %w", c.Name, err)
		}
	}
	admin, err := s.Admin(ctx)
	if err != nil {
		return nil, err
	}
	// A host that lends its certificate starts a process for it: not where nothing would answer.
	lent := s.world.Client == "" && !s.world.Authority.Ready()
	if lent && !o.CA.Exists {
		defer s.forgetAdmin() // a CA that this run makes is asked with from then on
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, m := range s.cluster.Members {
		asking, enough := context.WithCancel(ctx)
		wg.Go(func() {
			h := s.look(ctx, m, o.CA)
			if h.Unit.Active != "active" {
				enough() // a member that is not ready answers nobody, or never: etcd opens its port before it has a leader
			}
			var a plan.Answer
			if lent && h.Unit.Active == "active" {
				a = s.ask(asking, admin, m.Name)
			}
			mu.Lock()
			defer mu.Unlock()
			o.Hosts[m.Name] = h
			if lent {
				o.Cluster.Answers[m.Name] = a
			}
		})
		if !lent {
			wg.Go(func() {
				a := s.ask(asking, admin, m.Name)
				mu.Lock()
				defer mu.Unlock()
				o.Cluster.Answers[m.Name] = a
			})
		}
		defer enough()
	}
	for _, m := range s.cluster.Consumers() {
		wg.Go(func() {
			h := s.look(ctx, m, o.CA)
			mu.Lock()
			defer mu.Unlock()
			o.Others[m.Name] = h
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// Only now is it known what the hosts call themselves, and what is signed already.
	if o.CA.Exists {
		if requests := plan.Requests(s.cluster, o, s.world.Clock()); len(requests) > 0 {
			if err := s.world.Authority.Try(requests); err != nil {
				o.CA.Exists, o.CA.Problem = false, err.Error()
			}
		}
	}
	if err := s.follow(ctx, o); err != nil {
		return nil, err
	}
	if err := s.meetOutsiders(ctx, o); err != nil {
		return nil, err
	}
	s.meetDependents(ctx, o)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for name, a := range o.Cluster.Answers {
		// Not asked to the end, since its unit is not ready: that is known, not a failure to ask.
		if h := o.Hosts[name]; h.Problem == "" && h.Unit.Active != "active" && a.Asked != plan.Answered && a.Status == nil {
			o.Cluster.Answers[name] = plan.Answer{Asked: plan.Dead, Problem: "its unit is " + h.Unit.String()}
		}
	}
	s.findBinaries(o)
	return o, nil
}

// findBinaries looks for what the platforms seen need.
func (s *Session) findBinaries(o *plan.Observed) {
	for _, m := range s.machines() {
		h := cmp.Or(o.Hosts[m.Name], o.Others[m.Name])
		p := h.Platform()
		if h.Problem != "" || o.Binaries[p] != nil || o.BinaryProblems[p] != "" {
			continue
		}
		found, err := s.world.Binaries.Find(p)
		if err != nil {
			o.BinaryProblems[p] = err.Error()
			continue
		}
		o.Binaries[p] = map[string]plan.Binary{}
		for name, src := range found {
			o.Binaries[p][name] = src.planned()
		}
	}
}

func (src Source) planned() plan.Binary {
	b := plan.Binary{Version: src.Version, Archive: src.Archive, Problem: src.Problem}
	if src.Blob != nil {
		b.Digest, b.Size = src.Blob.Digest(), src.Blob.Size()
	}
	return b
}

// ask asks one member for its status and, at the same time, for the member
// list; the second proves a quorum. A member that says it has no leader is not waited for.
func (s *Session) ask(ctx context.Context, a Admin, name string) plan.Answer {
	if _, err := s.Reader(ctx, name); err != nil {
		return plan.Answer{Problem: err.Error()}
	}
	return askThrough(ctx, a, name)
}

func askThrough(ctx context.Context, a Admin, name string) plan.Answer {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var members []kvserver.Member
	var listErr error
	var wg sync.WaitGroup
	wg.Go(func() { members, listErr = a.Members(ctx, name) })
	st, err := a.Status(ctx, name)
	if err != nil || st.Leader == 0 || st.Learner {
		cancel()
	}
	wg.Wait()
	switch {
	case err == nil && st.Learner && st.Leader != 0:
		return plan.Answer{Asked: plan.Answered, Status: &st} // which is all that a learner says
	case err != nil:
		return plan.Answer{Asked: asked(err), Problem: err.Error()}
	case st.Leader == 0:
		return plan.Answer{Asked: plan.NoLeader, Status: &st, Problem: "it has no leader"}
	case listErr != nil:
		return plan.Answer{Asked: plan.TimedOut, Status: &st, Problem: listErr.Error()}
	}
	return plan.Answer{Asked: plan.Answered, Status: &st, Members: members}
}

// asked says how an asking that failed went.
func asked(err error) plan.Asked {
	switch {
	case errors.Is(err, kvserver.ErrRefused):
		return plan.Refused
	case errors.Is(err, kvserver.ErrDead), errors.Is(err, syscall.ECONNREFUSED):
		return plan.Dead
	case errors.Is(err, kvserver.ErrSilent), errors.Is(err, context.DeadlineExceeded):
		return plan.TimedOut
	}
	return plan.NotAsked
}

// look looks at one host. Its certificates are held against ca.
func (s *Session) look(ctx context.Context, m *spec.Member, ca plan.CA) *plan.Host {
	h, err := s.Reader(ctx, m.Name)
	if err != nil {
		return &plan.Host{Problem: err.Error()}
	}
	l := s.layout[m.Name]
	s.mu.Lock()
	look := s.found[m.Name]
	delete(s.found, m.Name)
	s.mu.Unlock()
	if look == nil {
		if look, err = h.Look(ctx, s.query(m, l)); err != nil {
			return &plan.Host{Problem: err.Error()}
		}
	}
	out := &plan.Host{
		Facts: look.Facts, Files: map[string]node.FileState{}, Certificates: map[string]pki.Certificate{}, Ports: look.Ports,
		Data: look.Dirs[l.Data], WAL: look.Dirs[l.WAL], Base: look.Dirs[l.Root], Unit: look.Units[l.Unit], BackupTimer: look.Units[l.BackupTimer],
		Accounts: look.Accounts, Space: look.Space, Mounts: look.Mounts,
	}
	if !look.Facts.Clock.IsZero() {
		out.ClockOffset = look.Facts.Clock.Sub(s.world.Clock())
	}
	folders, way := l.Folders(), l.Way()
	if s.helps(m) {
		folders, way = l.Ancestors(l.Bin), l.HelperWay()
	}
	places := s.places(m, l)
	for _, at := range places {
		for _, p := range at.Way() {
			if e := look.Files[p].Exposed; e.Path != "" && !slices.Contains(out.Unsafe, e) {
				out.Unsafe = append(out.Unsafe, e)
			}
		}
	}
	out.Consumers = consumers(look)
	for p, f := range look.Files {
		if slices.Contains(folders, p) || !slices.Contains(way, p) && !onWay(places, p) {
			s.file(out, m.Name, l, places, ca, p, f)
		}
	}
	for _, p := range way {
		if e := look.Files[p].Exposed; e.Path != "" && !slices.Contains(out.Exposed, e) {
			out.Exposed = append(out.Exposed, e)
		}
	}
	if f := look.Files[l.Manifest]; f.Exists {
		if out.Manifest, err = plan.ParseManifest(f.Content); err != nil {
			return &plan.Host{Problem: fmt.Sprintf("%s: %v", l.Manifest, err)}
		}
	}
	out.Disk = inspection(look.Probes[probeDisk], l.Data, out.Data.Member || out.WAL.Member)
	if err := former(ctx, h, out, l); err != nil {
		return &plan.Host{Problem: err.Error()}
	}
	if err := restoring(ctx, h, out, l, look.Files[l.Restore]); err != nil {
		return &plan.Host{Problem: err.Error()}
	}
	if f := look.Files[l.Mark]; f.Exists {
		mark, err := kvserver.ParseMark(f.Content)
		if err != nil {
			return &plan.Host{Problem: fmt.Sprintf("%s, which says whether a member has served there, cannot be read: %v", l.Mark, err)}
		}
		out.Mark = &mark
	}
	return out
}

// probeDisk is the probe that reads the data of a member that does not run.
const probeDisk = "disk"

// inspection is what the probe said of the data in dir, where the look itself saw a member or none; nil is
// unknown: it did not run, its binary cannot say, or what it says does not fit together.
func inspection(p node.ProbeState, dir string, member bool) *kvserver.Inspection {
	var i kvserver.Inspection
	if !p.Ran || p.Code != 0 || p.Cut || json.Unmarshal(p.Stdout, &i) != nil || i.DataDir != dir || i.Member != member {
		return nil
	}
	tells := i.ClusterID != "" || i.MemberID != "" || i.BootstrapOnly || i.Log != nil || i.DB != nil || i.Members != nil || i.Removed != nil
	if !i.Member && tells || (i.ClusterID == "") != (i.MemberID == "") || i.BootstrapOnly && (i.Log == nil || i.Log.LastIndex == 0) {
		return nil
	}
	return &i
}

// file takes one file over: keys without their digest, certificates parsed,
// digests of large files remembered.
func (s *Session) file(h *plan.Host, member string, l plan.Layout, places []plan.Place, ca plan.CA, p string, f host.FileState) {
	placed := slices.ContainsFunc(places, func(at plan.Place) bool { return p == at.CA || p == at.Cert })
	switch {
	case placed, p == l.CA, p == l.Cert("server"), p == l.Cert("peer"), p == l.Cert("client"):
		if c, err := s.world.Authority.Parse(f.Content, ca); err == nil {
			h.Certificates[p] = c
		}
	case p == l.KVServer, p == l.Etcd:
		if s.world.Stamps != nil && f.Exists {
			s.world.Stamps.Seen(member, p, f.Stamp, f.Digest)
		}
	}
	if l.Log != "" && (p == l.Log || path.Dir(p) == l.Run) {
		f.Digest, f.Stamp = "", "" // only whether it is there matters: its content moves by itself
	}
	h.Files[p] = f
}

// helps reports whether a machine is no member, and has kvserver for the clients that are installed there.
func (s *Session) helps(m *spec.Member) bool {
	return slices.ContainsFunc(s.cluster.Consumers(), func(o *spec.Member) bool { return o.Name == m.Name })
}

// places are where clients are installed on a machine.
func (s *Session) places(m *spec.Member, l plan.Layout) []plan.Place {
	var out []plan.Place
	for _, i := range s.cluster.Installed(m.Name) {
		out = append(out, plan.PlaceOf(l, i))
	}
	return out
}

// onWay reports whether a folder is looked at only for whether it can be exchanged.
func onWay(places []plan.Place, p string) bool {
	return slices.ContainsFunc(places, func(at plan.Place) bool { return slices.Contains(at.Way(), p) }) &&
		!slices.ContainsFunc(places, func(at plan.Place) bool { return p == at.Dir })
}

// query is what a look at a machine asks.
func (s *Session) query(m *spec.Member, l plan.Layout) host.Query {
	q := s.memberQuery(m, l)
	if s.helps(m) {
		q = s.helperQuery(m, l)
	}
	add := func(content bool, paths ...string) {
		for _, p := range paths {
			q.Files = append(q.Files, host.FileQuery{Path: p, Content: content})
		}
	}
	for _, at := range s.places(m, l) {
		add(true, at.CA, at.Cert, at.Endpoints)
		add(false, at.Key, at.Key+kvserver.NewSuffix, at.Pending)
		add(false, at.Way()...)
		q.Space = append(q.Space, at.Dir)
	}
	sort.SliceStable(q.Files, func(i, j int) bool { return q.Files[i].Path < q.Files[j].Path })
	return q
}

// helperQuery asks for kvserver.
func (s *Session) helperQuery(m *spec.Member, l plan.Layout) host.Query {
	q := host.Query{Space: []string{l.Bin, path.Dir(l.Lock)}, Files: []host.FileQuery{s.binaryQuery(m, l.KVServer)}}
	for _, p := range slices.Concat(l.Ancestors(l.Bin), l.HelperWay()) {
		q.Files = append(q.Files, host.FileQuery{Path: p})
	}
	return q
}

// binaryQuery asks for a binary, whose digest may be known.
func (s *Session) binaryQuery(m *spec.Member, p string) host.FileQuery {
	f := host.FileQuery{Path: p}
	if s.world.Stamps != nil {
		f.KnownStamp, f.KnownDigest = s.world.Stamps.Known(m.Name, p)
	}
	return f
}

// memberQuery is what a look at a member's host asks.
func (s *Session) memberQuery(m *spec.Member, l plan.Layout) host.Query {
	q := host.Query{
		Dirs: []host.DirQuery{{Path: l.Data, WAL: l.WALFiles}}, Units: []string{l.Unit}, Ports: []int{m.ClientPort, m.PeerPort},
		Accounts: plan.Accounts(s.cluster), Space: l.Written(),
	}
	if l.WAL != "" {
		q.Dirs = append(q.Dirs, host.DirQuery{Path: l.WAL, WAL: l.WALFiles})
	}
	if l.Scheduled() {
		q.Units = append(q.Units, l.BackupTimer) // behind the member's: it has no process
	}
	if m.MetricsPort != 0 {
		q.Ports = append(q.Ports, m.MetricsPort)
	}
	add := func(content bool, paths ...string) {
		for _, p := range paths {
			if p != "" {
				q.Files = append(q.Files, host.FileQuery{Path: p, Content: content})
			}
		}
	}
	add(true, l.Manifest, l.Mark, l.Restore, l.EtcdYAML, l.Bootstrap, l.UnitFile, l.CA, l.Cert("server"), l.Cert("peer"), l.Cert("client"))
	add(true, l.BackupFiles()...)
	add(false, l.Key("server"), l.Key("peer"), l.Key("client"), l.Key("server")+".new", l.Key("peer")+".new", l.Key("client")+".new")
	add(false, l.Folders()...)
	add(false, l.Way()...) // who locks makes some of them
	if l.Log != "" {
		add(false, l.Log, path.Join(l.Run, "supervisor.pid"), path.Join(l.Run, "state.json"))
	}
	if l.Root != "" {
		q.Dirs = append(q.Dirs, host.DirQuery{Path: l.Root})
	}
	binaries := []string{l.KVServer}
	if s.cluster.Server.Etcd != nil {
		binaries = append(binaries, l.Etcd)
	}
	for _, p := range binaries {
		q.Files = append(q.Files, s.binaryQuery(m, p))
	}
	argv := []string{l.KVServer, "inspect", "--data-dir", l.Data}
	if l.WAL != "" {
		argv = append(argv, "--wal-dir", l.WALFiles)
	}
	q.Probes = append(q.Probes, host.Probe{Name: probeDisk, Argv: argv, Unless: l.Unit, IfExists: l.KVServer})
	if s.cluster.Member(m.Name) == nil && m.ClientPort != 0 {
		q.Probes = append(q.Probes, consumersProbe(m.ClientPort))
	}
	return q
}

// errQuorum is wrapped by errors of steps that found fewer healthy voters than the plan was made for.
var errQuorum = errors.New("the quorum is not what the plan was made for")
