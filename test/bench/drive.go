package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/ssh"
	"quorate/provision/world"
)

// drive is one apply or plan made in this process by the same packages that
// the quorate command calls, in the same order, so that its connections can be
// watched from within.
type drive struct {
	delay time.Duration // in each direction; 0 connects directly
	apply bool

	mu    sync.Mutex
	taps  map[string]*tap      // by member
	conns map[string]int       // how many were opened
	login map[string]time.Time // when it was done
	spans map[string][]span    // host calls
	ended time.Time
	took  time.Duration // from the last login to the end
}

// run does it with the spec in dir.
func (d *drive) run(ctx context.Context, s *stage, dir string) error {
	d.taps, d.conns, d.login, d.spans = map[string]*tap{}, map[string]int{}, map[string]time.Time{}, map[string][]span{}
	text, err := os.ReadFile(filepath.Join(dir, "main.hcl"))
	if err != nil {
		return err
	}
	sp, diags := spec.Load([]spec.File{{Name: "main.hcl", Bytes: text}}, spec.Options{Dir: dir, Home: s.op.Home()})
	if diags.HasErrors() {
		return diags
	}
	c := sp.Clusters[0]
	w, err := world.New(c, world.Environment{
		User: "bench", Hostname: "bench", Home: s.op.Home(), CacheDir: filepath.Join(s.dir, "cache"),
		Executable: s.bin("quorate"), Run: "bench", Clock: time.Now,
	})
	if err != nil {
		return err
	}
	proxies := map[string]*proxy{}
	defer func() {
		for _, p := range proxies {
			p.close()
		}
	}()
	if d.delay > 0 {
		for _, m := range c.Members {
			l, err := s.lab.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			proxies[m.Name] = newProxy(ctx, l, d.delay, func(ctx context.Context) (net.Conn, error) {
				return s.lab.DialContext(ctx, "tcp", net.JoinHostPort(m.Address, "22"))
			})
		}
	}
	w.Connect = func(ctx context.Context, m *spec.Member) (host.Host, error) {
		conn, err := ssh.Dial(ctx, ssh.Config{
			Name: m.Name, Host: m.Address, User: "root", SSHConfig: "none", Home: s.op.Home(),
			IdentityFile: []string{s.op.Key()}, KnownHostsFile: s.op.KnownHosts(), Reads: !d.apply,
			Dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
				if p := proxies[m.Name]; p != nil {
					address = p.addr()
				}
				c, err := s.lab.DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				d.mu.Lock()
				defer d.mu.Unlock()
				d.conns[m.Name]++
				d.taps[m.Name] = &tap{Conn: c}
				return d.taps[m.Name], nil
			},
		})
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		d.login[m.Name] = time.Now()
		d.mu.Unlock()
		return &timedHost{Host: ssh.New(conn), d: d}, nil
	}
	admin := w.Admin
	w.Admin = func(members []provision.Endpoint, t *tls.Config, dial provision.Dial) provision.Admin {
		return &timedAdmin{Admin: admin(members, t, dial), d: d}
	}
	session := provision.Open(w, c)
	defer session.Close()
	return d.work(ctx, c, session)
}

// work is what the verbs plan and apply do, once everybody is logged in.
func (d *drive) work(ctx context.Context, c *spec.Cluster, session *provision.Session) error {
	var all errgroup.Group
	for _, m := range c.Members {
		all.Go(func() error {
			_, err := session.Host(ctx, m.Name)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	began := time.Now()
	if d.apply {
		if err := session.Lock(ctx, plan.Apply, 0); err != nil {
			return err
		}
	}
	observed, err := session.Observe(ctx)
	if err != nil {
		return err
	}
	p, err := plan.Build(c, observed, plan.Options{Now: time.Now(), Token: "bench", SpecDigest: spec.Digest(c)})
	if err != nil {
		return err
	}
	if len(p.Held) > 0 || p.Empty() == d.apply {
		return fmt.Errorf("the plan has %d steps and holds %d", len(p.Steps), len(p.Held))
	}
	if d.apply {
		if _, err := session.Apply(ctx, ctx, p, provision.RunOptions{ID: "bench"}); err != nil {
			return err
		}
	}
	d.ended = time.Now()
	d.took = d.ended.Sub(began)
	return nil
}

// timedHost notes when its calls began and ended.
type timedHost struct {
	host.Host
	d *drive
}

func (h *timedHost) note(what string, begin time.Time) { h.d.note(h.Name(), what, begin) }

func (d *drive) note(member, what string, begin time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spans[member] = append(d.spans[member], span{what, begin, time.Now()})
}

func (h *timedHost) Look(ctx context.Context, q host.Query) (*host.Look, error) {
	defer h.note("look", time.Now())
	return h.Host.Look(ctx, q)
}

func (h *timedHost) Lock(ctx context.Context, r host.LockRequest) (func() error, error) {
	defer h.note("lock", time.Now())
	return h.Host.Lock(ctx, r)
}

func (h *timedHost) Write(ctx context.Context, w host.WriteRequest) ([]host.Change, error) {
	defer h.note(fmt.Sprintf("write of %d", len(w.Files)), time.Now())
	return h.Host.Write(ctx, w)
}

func (h *timedHost) Upload(ctx context.Context, u host.Upload) (host.Change, error) {
	defer h.note(uploading, time.Now())
	return h.Host.Upload(ctx, u)
}

func (h *timedHost) Download(ctx context.Context, d host.Download) (host.Downloaded, error) {
	defer h.note("download", time.Now())
	return h.Host.Download(ctx, d)
}

func (h *timedHost) Service(ctx context.Context, r host.ServiceRequest) (host.UnitState, error) {
	defer h.note("service "+r.Verb, time.Now())
	return h.Host.Service(ctx, r)
}

func (h *timedHost) Run(ctx context.Context, c host.Command) (host.Result, error) {
	defer h.note("run "+filepath.Base(c.Argv[0]), time.Now())
	return h.Host.Run(ctx, c)
}

// timedAdmin notes when the questions to the members' API began and ended; the
// first one of each member opens the tunnel and agrees on TLS.
type timedAdmin struct {
	provision.Admin
	d *drive
}

func (a *timedAdmin) Members(ctx context.Context, via string) ([]kvserver.Member, error) {
	defer a.d.note(via, "API members", time.Now())
	return a.Admin.Members(ctx, via)
}

func (a *timedAdmin) Status(ctx context.Context, name string) (kvserver.Status, error) {
	defer a.d.note(name, "API status", time.Now())
	return a.Admin.Status(ctx, name)
}

func (a *timedAdmin) MoveLeader(ctx context.Context, leader string, to uint64) error {
	defer a.d.note(leader, "API move leader", time.Now())
	return a.Admin.MoveLeader(ctx, leader, to)
}

func (a *timedAdmin) MembersLocal(ctx context.Context, name string) ([]kvserver.Member, error) {
	defer a.d.note(name, "API members, its own", time.Now())
	return a.Admin.MembersLocal(ctx, name)
}

func (a *timedAdmin) AddLearner(ctx context.Context, via string, peerURLs []string) (kvserver.Member, []kvserver.Member, error) {
	defer a.d.note(via, "API add", time.Now())
	return a.Admin.AddLearner(ctx, via, peerURLs)
}

func (a *timedAdmin) Promote(ctx context.Context, via string, id uint64) ([]kvserver.Member, error) {
	defer a.d.note(via, "API promote", time.Now())
	return a.Admin.Promote(ctx, via, id)
}

func (a *timedAdmin) Remove(ctx context.Context, via string, id uint64) ([]kvserver.Member, error) {
	defer a.d.note(via, "API remove", time.Now())
	return a.Admin.Remove(ctx, via, id)
}

const uploading = "upload"
