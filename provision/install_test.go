package provision_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"quorate/plan"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

const consumed = `
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
%s  host "control1" { address = "192.168.7.111" }
  host "control2" { address = "192.168.7.112" }
  client "apiserver" {
    install {
      hosts   = ["control1", "control2"]
      dir     = "/etc/kubernetes/etcd"
      restart = ["kube-apiserver"]
    }
  }
}`

var (
	consumedByOne   = fmt.Sprintf(consumed, "")
	consumedByThree = fmt.Sprintf(consumed, "  member \"etcd2\" { address = \"192.168.7.102\" }\n  member \"etcd3\" { address = \"192.168.7.103\" }\n")
	consumedByTwo   = fmt.Sprintf(consumed, "  member \"etcd2\" { address = \"192.168.7.102\" }\n")
)

const (
	apiserver = "kube-apiserver.service"
	endpoints = "/etc/kubernetes/etcd/endpoints"
)

// consumers are what a unit on each machine was started with.
type consumers struct {
	mu     sync.Mutex
	runs   map[string]string // the endpoints that the process has read
	starts map[string]int
	order  []string
	fails  string // a machine on which it does not start any more
}

// consume starts a unit on both machines that reads the endpoints, if there are any.
func consume(t testing.TB, r *rig) *consumers {
	t.Helper()
	c := &consumers{runs: map[string]string{}, starts: map[string]int{}}
	for _, name := range []string{"control1", "control2"} {
		m := r.world.Machine(name)
		m.WriteFile("/etc/systemd/system/"+apiserver, []byte("[Service]\n"), 0o644)
		m.Program(apiserver, func(p *hosttest.Process) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.fails == p.Machine.Name() {
				return errors.New("no etcd endpoint answers")
			}
			text, _ := p.Machine.ReadFile(endpoints)
			c.runs[p.Machine.Name()] = string(text)
			c.starts[p.Machine.Name()]++
			c.order = append(c.order, p.Machine.Name())
			return nil
		})
		if _, err := m.Host().Service(context.Background(), host.ServiceRequest{Unit: apiserver, Verb: "start"}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// current sees that both units run with what lies there, and that nothing waits.
func (c *consumers) current(t testing.TB, r *rig, want string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, had := range c.runs {
		m := r.world.Machine(name)
		text, err := m.ReadFile(endpoints)
		if err != nil || string(text) != want || had != want {
			t.Errorf("%s: the endpoints are %q, the unit runs with %q, want %q (%v)", name, text, had, want, err)
		}
		if _, err := m.ReadFile("/etc/kubernetes/etcd/restart-pending"); err == nil {
			t.Errorf("%s: a restart is said to be due", name)
		}
		if u := m.Unit(apiserver); u.Active != "active" {
			t.Errorf("%s: the unit is %s", name, u)
		}
	}
}

func urls(hosts ...string) string {
	var out []string
	for _, h := range hosts {
		out = append(out, "https://192.168.7."+h+":2379")
	}
	return strings.Join(out, ",") + "\n"
}

// Clients lie where they are used, each machine with a key of its own, and nothing is restarted for what a unit takes up by itself.
func TestInstall(t *testing.T) {
	t.Parallel()
	r := newRig(t, consumedByOne)
	c := consume(t, r)
	must(t, r.apply())
	c.current(t, r, urls("101"))
	r.settled(t)
	for _, name := range []string{"control1", "control2"} {
		if got := strings.Join(r.world.Machine(name).Paths("/etc/kubernetes/etcd"), " "); got != "/etc/kubernetes/etcd/apiserver-key.pem /etc/kubernetes/etcd/apiserver.pem /etc/kubernetes/etcd/ca.pem /etc/kubernetes/etcd/endpoints" {
			t.Errorf("%s has %s", name, got)
		}
		if !strings.Contains(r.world.Machine(name).Dump(), "file 0600 root:root /etc/kubernetes/etcd/apiserver-key.pem") {
			t.Errorf("%s: the key is not root's alone\n%s", name, r.world.Machine(name).Dump())
		}
	}
	if len(r.ca.clients) > 0 || r.ca.endpoints["apiserver"] != urls("101") {
		t.Errorf("this side has the certificates %v, and the endpoints %q", r.ca.clients, r.ca.endpoints)
	}
	before := fmt.Sprint(c.starts)
	r.world.Machine("control1").RemoveAll("/etc/kubernetes/etcd/apiserver.pem")
	must(t, r.apply())
	r.settled(t)
	if after := fmt.Sprint(c.starts); after != before {
		t.Errorf("a certificate was made anew, and the units were restarted: %s, then %s", before, after)
	}
	r.world.Machine("control1").WriteFile(endpoints, []byte("https://10.0.0.1:2379\n"), 0o644)
	must(t, r.apply())
	c.current(t, r, urls("101"))
	if c.starts["control1"] != 3 || c.starts["control2"] != 2 {
		t.Errorf("starts %v", c.starts)
	}
}

// A unit that does not come back ends the run before the next machine is touched, and is restarted by the next one.
func TestInstallStopsAtAUnitThatDoesNotComeBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, consumedByThree)
	c := consume(t, r)
	must(t, r.apply())
	r.respec(consumedByTwo)
	c.fails = "control1"
	_, rep, err := r.run(context.Background(), plan.Build, nil)
	if err == nil || !strings.Contains(err.Error(), "kube-apiserver.service has not come back, and no other machine was touched after it") || !strings.Contains(err.Error(), "no etcd endpoint answers") {
		t.Fatalf("error %v", err)
	}
	if text, _ := r.world.Machine("control2").ReadFile(endpoints); string(text) != urls("101", "102", "103") {
		t.Errorf("control2 was told %q", text)
	}
	for _, s := range rep.Steps {
		if strings.HasPrefix(s.ID, "expel") && s.Result != provision.Unreached {
			t.Errorf("%s: %s", s.ID, s.Result)
		}
	}
	c.fails = ""
	must(t, r.apply())
	c.current(t, r, urls("101", "102"))
	r.settled(t)
}

// A machine that is down holds up its own matters only.
func TestInstallUnreachable(t *testing.T) {
	t.Parallel()
	r := newRig(t, consumedByOne)
	consume(t, r)
	r.world.Machine("control2").SetUnreachable(errors.New("no route to host"))
	s := r.session()
	must(t, s.Lock(context.Background(), plan.Apply, 0))
	p, err := r.build(s, plan.Build)
	must(t, err)
	if len(p.Held) != 1 || p.Held[0].Reason != plan.HostUnreachable || p.Held[0].Subject != "control2" {
		t.Fatalf("held %+v", p.Held)
	}
	for _, st := range p.Steps {
		if a, ok := st.Action.(*plan.Install); ok {
			a.Settle = 0
		}
	}
	if _, err := s.Apply(context.Background(), context.Background(), p, provision.RunOptions{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	must(t, s.Close())
	r.world.Machine("control2").Heal()
	must(t, r.apply())
	r.settled(t)
}

// TestInstallCutEverywhere: wherever a run is cut, the next one comes to its end, and no unit goes on with
// endpoints that are not those that lie there.
func TestInstallCutEverywhere(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		spec    string
		prepare func(t *testing.T, r *rig)
		want    string
	}{
		"fresh": {consumedByOne, func(*testing.T, *rig) {}, urls("101")},
		"edited": {consumedByOne, func(t *testing.T, r *rig) {
			must(t, r.apply())
			r.world.Machine("control1").WriteFile(endpoints, []byte("https://10.0.0.1:2379\n"), 0o644)
			r.world.Machine("control2").RemoveAll("/etc/kubernetes")
		}, urls("101")},
		"shrink": {consumedByThree, func(t *testing.T, r *rig) { must(t, r.apply()); r.respec(consumedByTwo) }, urls("101", "102")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, mode := range []string{"before", "midway", "reply lost"} {
				first, stride := cuts(i)
				for n := first; ; n += stride {
					r := newRig(t, story.spec)
					c := consume(t, r)
					story.prepare(t, r)
					r.brief = true
					r.world.ResetCalls()
					if mode == "midway" {
						r.world.CutMidwayAfter(n)
					} else {
						r.world.CutAfter(n, mode == "reply lost")
					}
					err := r.apply()
					cut := r.world.Cut()
					if err == nil && !cut {
						if n < 20 {
							t.Errorf("a run of only %d calls", n)
						}
						break
					}
					r.world.Heal()
					if err := r.apply(); err != nil {
						t.Fatalf("cut %s call %d: the second run failed: %v", mode, n+1, err)
					}
					c.current(t, r, story.want)
					r.settled(t)
					if t.Failed() {
						t.Fatalf("cut %s call %d", mode, n+1)
					}
				}
			}
		})
	}
}

// Destroy takes clients and kvserver off the machines, and leaves the folder and the unit.
func TestDestroyInstalled(t *testing.T) {
	t.Parallel()
	r := newRig(t, consumedByOne)
	consume(t, r)
	must(t, r.apply())
	r.world.Machine("control1").WriteFile("/etc/kubernetes/etcd/notes", []byte("mine"), 0o644)
	_, _, err := r.run(context.Background(), plan.BuildDestroy, nil)
	must(t, err)
	m := r.world.Machine("control1")
	if got := strings.Join(append(m.Paths("/etc/kubernetes/etcd"), m.Paths("/opt/quorate")...), " "); got != "/etc/kubernetes/etcd/notes" {
		t.Errorf("left are %s", got)
	}
	if len(r.ca.endpoints) > 0 {
		t.Errorf("this side has %v", r.ca.endpoints)
	}
}

// Who is connected with a member that leaves, and with nobody who stays, is found out by a look that only reads.
func TestConsumersConnected(t *testing.T) {
	t.Parallel()
	r := newRig(t, consumedByThree)
	consume(t, r)
	must(t, r.apply())
	table := func(remotes ...string) hosttest.Handler {
		return func(context.Context, *hosttest.Machine, host.Command) (host.Result, error) {
			out := ""
			for i, a := range remotes {
				out += fmt.Sprintf("%4d: 6707A8C0:094B %s:D2F4 01 00000000:00000000 00:00000000 00000000     0        0 123\n", i, a)
			}
			return host.Result{Stdout: []byte(out)}, nil
		}
	}
	const (
		a200  = "C807A8C0"
		a201  = "C907A8C0"
		etcd1 = "6507A8C0"
		v6    = "B80D0120000000000000000001000000" // 2001:db8::1
		v4in6 = "0000000000000000FFFF0000C907A8C0" // 192.168.7.201
	)
	r.world.Machine("etcd3").Handle("grep", table(a200, v4in6, etcd1, v6, "0100007F"))
	r.world.Machine("etcd1").Handle("grep", table(a201))
	r.respec(consumedByTwo)
	r.world.ResetCalls()
	p, err := r.plan()
	must(t, err)
	if len(p.Held) != 1 || p.Held[0].Reason != plan.ConsumersConnected || !strings.HasSuffix(p.Held[0].Detail, ": 192.168.7.200, 2001:db8::1") {
		t.Errorf("held %+v", p.Held)
	}
	if n := r.world.Writes(); n != 0 {
		t.Errorf("a plan made %d calls that write", n)
	}
	// What moves by itself breaks no plan that was saved.
	b, err := p.Encode()
	must(t, err)
	saved, err := plan.Decode(b)
	must(t, err)
	r.world.Machine("etcd3").Handle("grep", table())
	s := r.session()
	defer s.Close()
	o, err := s.Observe(context.Background())
	must(t, err)
	if _, err := saved.Again(r.cluster, o); err != nil {
		t.Error(err)
	}
	must(t, r.apply())
	r.settled(t)
}

// Who is outside of the spec, and stays since its expulsion is held, counts when a run says at its end whether the cluster serves.
func TestHeldExpulsionCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t, consumedByTwo)
	consume(t, r)
	must(t, r.apply())
	r.world.Machine("etcd2").Handle("grep", func(context.Context, *hosttest.Machine, host.Command) (host.Result, error) {
		return host.Result{Stdout: []byte("   0: 6607A8C0:094B C807A8C0:D2F4 01 00000000:00000000\n")}, nil
	})
	r.respec(consumedByOne)
	s := r.session()
	defer s.Close()
	must(t, s.Lock(context.Background(), plan.Apply, 0))
	p, err := r.build(s, plan.Build)
	must(t, err)
	if len(p.Held) != 1 || p.Held[0].Reason != plan.ConsumersConnected || len(p.Steps) == 0 {
		t.Fatalf("held %+v, %d steps", p.Held, len(p.Steps))
	}
	for _, st := range p.Steps {
		if a, ok := st.Action.(*plan.Install); ok {
			a.Settle = 0
		}
	}
	rep, err := s.Apply(context.Background(), context.Background(), p, provision.RunOptions{ID: "x"})
	must(t, err)
	if rep.Voters == nil || rep.Voters.Healthy != 2 || rep.Consumers == nil || rep.Consumers.EtcdServers+"\n" != urls("101") {
		t.Errorf("voters %v, consumers %+v", rep.Voters, rep.Consumers)
	}
}
