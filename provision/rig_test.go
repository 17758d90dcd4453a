package provision_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// rig is a whole world in memory: machines with faults, an etcd that knows its
// members, a CA, and an operator who runs quorate again and again.
type rig struct {
	t         testing.TB
	cluster   *spec.Cluster
	world     *hosttest.World
	etcd      *etcd
	at        map[string]string // the machine at each address; another address of one machine is one more
	ca        *authority
	runs      int
	opened    int // sessions; each is another run of quorate
	dir       string
	same      map[string]string // members that are another one's machine
	binary    string
	cached    string // sha256 of the archive of etcd that is on this side
	fetches   int
	offline   bool
	depends   bool      // it is asked who depends on the cluster
	maintains bool      // it is asked what maintenance asks for
	snapshot  host.Blob // what a restore is from
	brief     bool      // refusals that pass by themselves are not waited out
}

const threeMembers = `
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" { address = "192.168.7.103" }
  client "apiserver" {}
}`

const fiveMembers = `
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" { address = "192.168.7.103" }
  member "etcd4" { address = "192.168.7.104" }
  member "etcd5" { address = "192.168.7.105" }
  client "apiserver" {}
}`

func newRig(t testing.TB, hcl string) *rig {
	t.Helper()
	s, diags := spec.Load([]spec.File{{Name: "spec.hcl", Bytes: []byte(hcl)}}, spec.Options{Dir: "/work-dir"})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	r := &rig{t: t, cluster: s.Clusters[0], world: hosttest.NewWorld(), etcd: newEtcd(), at: map[string]string{}, ca: &authority{}, binary: "kvserver binary 1"}
	r.machines()
	return r
}

// machines adds a fresh machine at each member's address at which there is none. It has the member's name, or,
// if there is one of that name, the name and the address ("etcd1@192.168.7.111").
func (r *rig) machines() {
	for _, m := range r.cluster.Members {
		if r.at[m.Address] != "" {
			continue
		}
		name := m.Name
		if r.etcd.peers[name] != nil {
			name += "@" + m.Address
		}
		machine := hosttest.NewMachine(name)
		machine.SetPatience(30 * time.Second) // only a start that never comes true waits that long, and fails its test
		r.etcd.peers[name] = &peer{machine: machine}
		machine.Program("", r.etcd.start)
		machine.Handle("kvserver", func(ctx context.Context, m *hosttest.Machine, c host.Command) (host.Result, error) {
			if len(c.Argv) > 1 && c.Argv[1] == "restore" {
				return r.etcd.restore(m, c)
			}
			return keys(ctx, m, c)
		})
		machine.Handle("du", sizes)
		machine.SetDialer(func(_ context.Context, _, address string) (net.Conn, error) { return r.etcd.dial(name, address) })
		r.world.Add(machine)
		r.at[m.Address] = name
	}
	for _, m := range slices.Concat(r.cluster.Consumers(), r.cluster.DependentMachines()) {
		if r.at[m.Address] == "" {
			machine := hosttest.NewMachine(m.Name)
			machine.SetPatience(30 * time.Second)
			machine.Handle("kvserver", keys)
			r.world.Add(machine)
			r.at[m.Address] = m.Name
		}
	}
}

// respec goes on with another spec; a member at an address where there was no machine gets a fresh one.
func (r *rig) respec(hcl string) {
	r.t.Helper()
	s, diags := spec.Load([]spec.File{{Name: "spec.hcl", Bytes: []byte(hcl)}}, spec.Options{Dir: "/work-dir"})
	if diags.HasErrors() {
		r.t.Fatal(diags)
	}
	r.cluster = s.Clusters[0]
	r.machines()
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
			name := r.at[m.Address]
			if other, ok := r.same[m.Name]; ok {
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
	if r.depends {
		s.WithDependents()
	}
	o, err := s.Observe(context.Background())
	if err != nil {
		return nil, err
	}
	r.runs++
	if r.maintains {
		if err := s.Storage(context.Background(), o); err != nil {
			return nil, err
		}
	}
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
	r.hurry(p)
	rep, err := s.Apply(ctx, context.Background(), p, provision.RunOptions{ID: fmt.Sprintf("run-%d", r.runs), Events: events, Snapshot: r.snapshot})
	return p, rep, err
}

// hurry has nobody waited for who is as he will stay.
func (r *rig) hurry(p *plan.Plan) {
	for _, st := range p.Steps {
		switch a := st.Action.(type) {
		case *plan.Install:
			a.Settle = time.Millisecond // nobody here takes longer to fall over
		case *plan.StartDependents:
			a.Settle = time.Millisecond
		case *plan.Expel:
			if r.brief {
				a.Wait = 50 * time.Millisecond
			}
		}
	}
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

// cuts says after which calls a run is cut: in an ordinary test every third one, others in each mode, so that
// every call is cut in one of three modes; in a soak every one.
func cuts(mode int) (first, stride int) {
	if !soaks() {
		return mode, 3
	}
	return 0, 1
}

// soaks reports whether the tests have the larger budget.
func soaks() bool { return os.Getenv("QUORATE_SOAK") != "" }
