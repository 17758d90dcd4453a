package provision

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sort"
	"sync"
	"time"

	"quorate/kvserver"
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
		Hosts: map[string]*plan.Host{}, Binaries: map[string]map[string]plan.Binary{},
		BinaryProblems: map[string]string{}, Clients: map[string]plan.ClientFiles{},
		Cluster: plan.Cluster{Status: map[string]kvserver.Status{}, Healthy: map[string]bool{}, Problems: map[string]string{}},
	}
	var err error
	if o.CA, err = s.world.Authority.Look(); err != nil {
		return nil, fmt.Errorf("cannot look at the CA of cluster %q: %w", s.cluster.Name, err)
	}
	for _, c := range s.cluster.Clients {
		if o.Clients[c.Name], err = s.world.Authority.LookClient(c); err != nil {
			return nil, fmt.Errorf("cannot look at the client certificate %q: %w", c.Name, err)
		}
	}
	var admin Admin
	if o.CA.Exists && o.CA.Problem == "" {
		if admin, err = s.Admin(); err != nil {
			return nil, err
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, m := range s.cluster.Members {
		asking, enough := context.WithCancel(ctx)
		wg.Go(func() {
			h := s.look(ctx, m)
			if h.Unit.Active != "active" {
				enough() // a member that is not ready answers nobody, or never: etcd opens its port before it has a leader
			}
			mu.Lock()
			defer mu.Unlock()
			o.Hosts[m.Name] = h
		})
		if admin != nil {
			wg.Go(func() {
				a := s.ask(asking, admin, m.Name)
				mu.Lock()
				defer mu.Unlock()
				a.into(&o.Cluster, m.Name)
			})
		}
		defer enough()
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return o, s.findBinaries(ctx, o)
}

// findBinaries looks for what the platforms seen need.
func (s *Session) findBinaries(ctx context.Context, o *plan.Observed) error {
	for _, m := range s.cluster.Members {
		h := o.Hosts[m.Name]
		p := h.Platform()
		if h.Problem != "" || o.Binaries[p] != nil || o.BinaryProblems[p] != "" {
			continue
		}
		found, err := s.world.Binaries.Find(ctx, p)
		if err != nil {
			o.BinaryProblems[p] = err.Error()
			continue
		}
		o.Binaries[p] = map[string]plan.Binary{}
		for name, src := range found {
			o.Binaries[p][name] = plan.Binary{Digest: src.Blob.Digest(), Size: src.Blob.Size(), Version: src.Version}
		}
	}
	return nil
}

// answer is what one member's API gave.
type answer struct {
	members   []kvserver.Member
	status    *kvserver.Status
	membersOK error
	statusOK  error
}

// ask asks one member for its status and, at the same time, for the member
// list; the second proves a quorum. A member that says it has no leader is not waited for.
func (s *Session) ask(ctx context.Context, a Admin, name string) answer {
	if _, err := s.Host(ctx, name); err != nil {
		return answer{membersOK: err, statusOK: err}
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var out answer
	var wg sync.WaitGroup
	wg.Go(func() { out.members, out.membersOK = a.Members(ctx, name) })
	st, err := a.Status(ctx, name)
	if out.statusOK = err; err == nil {
		out.status = &st
	}
	if err != nil || st.Leader == 0 {
		cancel()
	}
	wg.Wait()
	return out
}

func (a answer) into(c *plan.Cluster, name string) {
	if a.status != nil {
		c.Status[name] = *a.status
	}
	c.Healthy[name] = a.membersOK == nil && a.statusOK == nil
	if a.membersOK == nil && c.Members == nil {
		c.Members = a.members
	}
	switch {
	case a.statusOK != nil:
		c.Problems[name] = a.statusOK.Error()
	case a.status.Leader == 0:
		c.Problems[name] = "it has no leader"
	case a.membersOK != nil:
		c.Problems[name] = a.membersOK.Error()
	}
}

// look looks at one host.
func (s *Session) look(ctx context.Context, m *spec.Member) *plan.Host {
	h, err := s.Host(ctx, m.Name)
	if err != nil {
		return &plan.Host{Problem: err.Error()}
	}
	l := s.layout[m.Name]
	look, err := h.Look(ctx, s.query(m, l))
	if err != nil {
		return &plan.Host{Problem: err.Error()}
	}
	out := &plan.Host{
		OS: look.Facts.OS, Arch: look.Facts.Arch, Hostname: look.Facts.Hostname, Manager: look.Facts.Manager,
		Root: look.Facts.Root, Missing: look.Facts.Missing, ClockError: look.Facts.ClockError,
		Files: map[string]plan.File{}, Certificates: map[string]pki.Certificate{}, Ports: map[int]plan.Port{},
		Data: dir(look.Dirs[l.Data]), WAL: dir(look.Dirs[l.WAL]), Unit: unit(look.Units[l.Unit]),
		Account: look.Accounts[s.cluster.Server.User], Space: look.Space,
	}
	if !look.Facts.Clock.IsZero() {
		out.ClockOffset = look.Facts.Clock.Sub(s.world.Clock())
	}
	for p, st := range look.Ports {
		port := plan.Port{Known: st.Known, Listening: st.Listening()}
		for _, l := range st.Listeners {
			if port.PID == 0 {
				port.PID, port.Process = l.PID, l.Process
			}
		}
		out.Ports[p] = port
	}
	for p, f := range look.Files {
		s.file(out, m.Name, l, p, f)
	}
	if f := look.Files[l.Manifest]; f.Exists {
		if out.Manifest, err = plan.ParseManifest(f.Content); err != nil {
			return &plan.Host{Problem: fmt.Sprintf("%s: %v", l.Manifest, err)}
		}
	}
	return out
}

// file takes one file over: keys without their digest, certificates parsed,
// digests of large files remembered.
func (s *Session) file(h *plan.Host, member string, l plan.Layout, p string, f host.FileState) {
	out := plan.File{Exists: f.Exists, Type: f.Type, Mode: f.Mode, Owner: f.Owner, Group: f.Group, Digest: f.Digest}
	switch p {
	case l.Key("server"), l.Key("peer"), l.Key("client"):
		out.Digest = ""
	case l.CA, l.Cert("server"), l.Cert("peer"), l.Cert("client"):
		if c, err := s.world.Authority.Parse(f.Content); err == nil {
			h.Certificates[p] = c
		}
	case l.KVServer, l.Etcd:
		if s.world.Stamps != nil && f.Exists {
			s.world.Stamps.Seen(member, p, f.Stamp, f.Digest)
		}
	default:
		out.Content = string(f.Content)
	}
	h.Files[p] = out
}

// query is what a look at a member's host asks.
func (s *Session) query(m *spec.Member, l plan.Layout) host.Query {
	q := host.Query{
		Dirs: []host.DirQuery{{Path: l.Data, WAL: l.WAL}}, Units: []string{l.Unit}, Ports: []int{m.ClientPort, m.PeerPort},
		Accounts: []string{s.cluster.Server.User}, Space: []string{l.Bin, l.Data},
	}
	if l.WAL != "" {
		q.Dirs, q.Space = append(q.Dirs, host.DirQuery{Path: l.WAL, WAL: l.WAL}), append(q.Space, l.WAL)
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
	add(true, l.Manifest, l.EtcdYAML, l.Bootstrap, l.UnitFile, l.CA, l.Cert("server"), l.Cert("peer"), l.Cert("client"))
	add(false, l.Key("server"), l.Key("peer"), l.Key("client"), l.Config, l.PKI, l.Bin, l.Data, l.WAL, l.Run)
	if l.Log != "" {
		add(false, path.Dir(l.Log))
	}
	binaries := []string{l.KVServer}
	if s.cluster.Server.Etcd != nil {
		binaries = append(binaries, l.Etcd)
	}
	for _, p := range binaries {
		f := host.FileQuery{Path: p}
		if s.world.Stamps != nil {
			f.KnownStamp, f.KnownDigest = s.world.Stamps.Known(m.Name, p)
		}
		q.Files = append(q.Files, f)
	}
	sort.SliceStable(q.Files, func(i, j int) bool { return q.Files[i].Path < q.Files[j].Path })
	return q
}

func dir(d host.DirState) plan.Dir {
	return plan.Dir{Exists: d.Exists, Empty: d.Empty, Member: d.Member}
}

func unit(u host.UnitState) plan.Unit {
	return plan.Unit{Loaded: u.Loaded, Enabled: u.Enabled, NeedReload: u.NeedReload, Active: u.Active, PID: u.PID,
		ExeDigest: u.ExeDigest, ConfigDigest: u.ConfigDigest}
}

// errQuorum is wrapped by errors of steps that found fewer healthy voters than the plan was made for.
var errQuorum = errors.New("the quorum is not what the plan was made for")
