package provision_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quorate/pki"
	"quorate/plan"
	"quorate/provision"
	"quorate/provision/host/hosttest"
)

func TestFreshApplyThenNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	if err := r.apply(); err != nil {
		t.Fatal(err)
	}
	r.settled(t)
	before := r.world.Dump()
	r.world.ResetCalls()
	if err := r.apply(); err != nil {
		t.Fatal(err)
	}
	if after := r.world.Dump(); after != before {
		t.Errorf("a second apply changed something:\n%s", after)
	}
	r.world.ResetCalls()
	if _, err := r.plan(); err != nil {
		t.Fatal(err)
	}
	if n := r.world.Writes(); n != 0 {
		t.Errorf("a plan made %d calls that write: %v", n, r.world.Calls())
	}
}

// TestCAThatMayNotSignAHostsName: what a host calls itself is known once it has
// been seen, and goes into its certificates: a CA that may not sign that name is
// found before anything is made.
func TestCAThatMayNotSignAHostsName(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	r.ca.ca, r.ca.refuses = &pki.Certificate{IsCA: true, Fingerprint: "c0ffee"}, "etcd2" // the host's name; its address is in the spec
	p, err := r.plan()
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) > 0 || len(p.Held) != 1 || p.Held[0].Reason != plan.CAProblem || !strings.Contains(p.Held[0].Detail, "etcd2") {
		t.Errorf("%d steps, held %+v", len(p.Steps), p.Held)
	}
}

// TestCutEverywhere: the tool dies at the first, second, … last call of a run:
// before the call, half-way through it, or after it with the answer lost. Run
// again it finishes, and nothing is lost: no member started twice as new, none left out.
func TestCutEverywhere(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		spec    string // "": threeMembers
		prepare func(t *testing.T, r *rig)
		build   builder
		after   func(t *testing.T, r *rig)
	}{
		"fresh": {},
		"drift": {prepare: func(t *testing.T, r *rig) {
			must(t, r.apply())
			m := r.world.Machine("etcd2")
			m.WriteFile("/etc/quorate/lab/etcd.yaml", []byte("edited"), 0o644)
			m.RemoveAll("/etc/quorate/lab/pki/peer.pem")
			m.Crash("quorate-lab.service")
		}},
		"roll": {prepare: func(t *testing.T, r *rig) { must(t, r.apply()); r.binary = "kvserver binary 2" }},
		"move": {prepare: func(t *testing.T, r *rig) { // renamed
			must(t, r.apply())
			r.respec(withServer(`data_dir = "/var/lib/etcd"`))
		}},
		"move to a mount": {prepare: func(t *testing.T, r *rig) { // copied, and the log elsewhere
			must(t, r.apply())
			for _, m := range r.world.Machines() {
				must(t, m.Mount("/srv/etcd", hosttest.NewDisk()))
				must(t, m.Mount("/ssd", hosttest.NewDisk()))
			}
			r.respec(withServer(`data_dir = "/srv/etcd"`, `wal_dir = "/ssd/wal"`))
		}, after: keptAside},
		"move while it is stopped": {prepare: func(t *testing.T, r *rig) {
			must(t, r.apply())
			must(t, r.world.Machine("etcd2").Mount("/srv/etcd", hosttest.NewDisk()))
			r.world.Machine("etcd2").Crash("quorate-lab.service")
			r.respec(withServer(`data_dir = "/srv/etcd"`))
		}},
		"move back to the data": {spec: withServer(`wal_dir = "/ssd/wal"`), prepare: func(t *testing.T, r *rig) {
			for _, m := range r.world.Machines() {
				must(t, m.Mount("/ssd", hosttest.NewDisk()))
			}
			must(t, r.apply())
			r.respec(withServer(`data_dir = "/srv/etcd"`))
		}},
		"backups by timers": {prepare: func(t *testing.T, r *rig) {
			must(t, r.apply())
			r.respec(withBackups(threeMembers))
		}, after: func(t *testing.T, r *rig) { r.settled(t); timers(t, r, true) }},
		"no backups any more": {spec: withBackups(threeMembers), prepare: func(t *testing.T, r *rig) {
			must(t, r.apply())
			r.respec(threeMembers)
		}, after: func(t *testing.T, r *rig) { r.settled(t); timers(t, r, false) }},
		"destroy with backups": {spec: withBackups(threeMembers), prepare: func(t *testing.T, r *rig) {
			must(t, r.apply())
			for _, m := range r.world.Machines() {
				m.WriteFile("/var/backups/quorate/lab/lab-20261130T210000Z-etcd1.db.zst", []byte("kept"), 0o600)
			}
		}, build: plan.BuildDestroy, after: func(t *testing.T, r *rig) {
			timers(t, r, false)
			for _, m := range r.world.Machines() {
				if left := m.Paths("/var/backups"); len(left) == 0 {
					t.Errorf("destroy has removed the backups on %s", m.Name())
				}
			}
		}},
		"cold start": {prepare: func(t *testing.T, r *rig) {
			must(t, r.apply())
			for _, m := range r.world.Machines() {
				m.Crash("quorate-lab.service")
			}
		}},
		"release": {spec: upstreamMembers, prepare: func(t *testing.T, r *rig) { // another one, that is not on this side yet
			must(t, r.apply())
			r.respec(anotherRelease(upstreamMembers))
		}},
		"destroy": {prepare: func(t *testing.T, r *rig) { must(t, r.apply()) }, build: plan.BuildDestroy, after: func(t *testing.T, r *rig) {
			for _, m := range r.world.Machines() {
				for _, dir := range []string{"/etc/quorate", "/opt/quorate", "/var/lib/quorate"} {
					if left := m.Paths(dir); len(left) > 0 {
						t.Errorf("destroy left %v on %s", left, m.Name())
					}
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, mode := range []string{"before", "midway", "reply lost"} {
				first, stride := cuts(i)
				for n := first; ; n += stride {
					r := newRig(t, cmp.Or(story.spec, threeMembers))
					if story.prepare != nil {
						story.prepare(t, r)
					}
					build := builder(plan.Build)
					if story.build != nil {
						build = story.build
					}
					r.world.ResetCalls()
					r.etcd.watching, r.etcd.least = name == "roll" || name == "release" || strings.HasPrefix(name, "move") && !strings.Contains(name, "stopped"), 3
					if mode == "midway" {
						r.world.CutMidwayAfter(n)
					} else {
						r.world.CutAfter(n, mode == "reply lost")
					}
					_, _, err := r.run(context.Background(), build, nil)
					cut := r.world.Cut()
					if err == nil && !cut {
						break // the run needs no more calls than n
					}
					r.world.Heal()
					r.cached = "" // the second run comes from another machine
					if _, _, err := r.run(context.Background(), build, nil); err != nil {
						t.Fatalf("cut %s call %d: the second run failed: %v", mode, n+1, err)
					}
					if story.after != nil {
						story.after(t, r)
					} else {
						r.settled(t)
					}
					if r.etcd.least < 2 {
						t.Errorf("cut %s call %d: only %d of 3 voters were left", mode, n+1, r.etcd.least)
					}
					if t.Failed() {
						t.Fatalf("cut %s call %d", mode, n+1)
					}
				}
			}
		})
	}
}

// withServer is three members with something said of their server.
func withServer(lines ...string) string {
	return strings.Replace(threeMembers, "client ", "server {\n"+strings.Join(lines, "\n")+"\n}\n  client ", 1)
}

// keptAside sees that nothing of what was copied from is lost, and that it is known where it is.
func keptAside(t *testing.T, r *rig) {
	r.settled(t)
	s := r.session()
	defer s.Close()
	o, err := s.Observe(context.Background())
	must(t, err)
	s.Kept(context.Background(), o)
	for n, h := range o.Hosts {
		found := 0
		for _, dir := range h.Kept {
			found += len(r.world.Machine(n).Paths(dir))
		}
		if found != 5 { // the log and a file in it, the data's folder, one in it, and its file
			t.Errorf("%s: %d things are kept in %q, of %q", n, found, h.Kept, r.world.Machine(n).Paths("/var/lib/quorate/lab"))
		}
	}
}

func TestRollMovesLeadershipAndKeepsTheQuorum(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	leader := r.etcd.leader
	r.binary = "kvserver binary 2"
	r.etcd.watching, r.etcd.least = true, 3
	p, _, err := r.run(context.Background(), plan.Build, nil)
	must(t, err)
	var restarts []string
	for _, s := range p.Steps {
		if s.Kind == plan.KindRestart {
			restarts = append(restarts, s.Member)
		}
	}
	if len(restarts) != 3 || restarts[2] != leader {
		t.Errorf("restarts %v, leader %s", restarts, leader)
	}
	if len(r.etcd.moves) != 1 || !strings.HasPrefix(r.etcd.moves[0], leader+">") {
		t.Errorf("leadership moved %v", r.etcd.moves)
	}
	if r.etcd.least != 2 {
		t.Errorf("at the worst moment %d voters were up", r.etcd.least)
	}
	r.settled(t)
}

// TestRestartRefusesAtExecution: the world gets worse between plan and step.
func TestRestartRefusesAtExecution(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	r.binary = "kvserver binary 2"
	s := r.session()
	defer s.Close()
	p, err := r.build(s, plan.Build)
	must(t, err)
	r.world.Machine("etcd3").Crash("quorate-lab.service")
	rep, err := s.Apply(context.Background(), context.Background(), p, provision.RunOptions{ID: "x"})
	if err == nil || !strings.Contains(err.Error(), "2 of 3 voters are healthy") {
		t.Errorf("error %v", err)
	}
	if r.etcd.healthy() != 2 {
		t.Errorf("%d members up", r.etcd.healthy())
	}
	if rep.Counts[provision.Unreached] == 0 || rep.Counts[provision.Failed] != 1 {
		t.Errorf("counts %v", rep.Counts)
	}
}

// TestAlarmAtExecution: an alarm that is raised between plan and step keeps voters where they are, but for the one that raises it.
func TestAlarmAtExecution(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(r *rig)
		alarm  string // raised by
		fails  bool
	}{
		"a restart":                    {func(r *rig) { r.binary = "kvserver binary 2" }, "etcd3", true},
		"an expulsion":                 {func(r *rig) { r.respec(withoutMember(threeMembers, "etcd3")) }, "etcd2", true},
		"the expulsion of the bad one": {func(r *rig) { r.respec(withoutMember(threeMembers, "etcd3")) }, "etcd3", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, threeMembers)
			must(t, r.apply())
			tc.change(r)
			s := r.session()
			defer s.Close()
			p, err := r.build(s, plan.Build)
			must(t, err)
			r.etcd.peers[tc.alarm].alarms = []string{"CORRUPT"}
			_, err = s.Apply(context.Background(), context.Background(), p, provision.RunOptions{ID: "x"})
			if tc.fails != (err != nil) || err != nil && !strings.Contains(err.Error(), tc.alarm+" has raised the alarm CORRUPT") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// withoutMember is a spec without the line of that member.
func withoutMember(hcl, name string) string {
	lines := slices.Collect(strings.Lines(hcl))
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, `member "`+name+`"`) }), "")
}

func TestFailureLeavesTheRestUnreached(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	r.dir = t.TempDir()
	r.world.Machine("etcd2").Handle("kvserver", nil)
	_, rep, err := r.run(context.Background(), plan.Build, nil)
	if err == nil || !strings.Contains(err.Error(), "etcd2") {
		t.Fatalf("error %v", err)
	}
	results := map[string]provision.Result{}
	for _, s := range rep.Steps {
		results[s.ID] = s.Result
	}
	if results["certificates etcd2"] != provision.Failed || results["start etcd1,etcd2,etcd3"] != provision.Unreached {
		t.Errorf("results %v", results)
	}
	b, err := os.ReadFile(rep.Journal)
	must(t, err)
	for _, want := range []string{`"type":"call"`, `"type":"not-reached"`, `"type":"step-failed"`, `"call":"write /etc/quorate/lab`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the journal lacks %s", want)
		}
	}
	if strings.Contains(string(b), "PRIVATE KEY") {
		t.Error("the journal holds a key")
	}
	if m, _ := filepath.Glob(filepath.Join(r.dir, "*.jsonl")); len(m) != 1 {
		t.Errorf("journals %v", m)
	}
}

func TestUnreachableHostIsNamedAndNothingTouched(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	r.world.Machine("etcd3").SetUnreachable(errors.New("no route to host"))
	before := r.world.Dump()
	p, _, err := r.run(context.Background(), plan.Build, nil)
	if err == nil || len(p.Held) != 1 || p.Held[0].Reason != plan.HostUnreachable || p.Held[0].Subject != "etcd3" {
		t.Fatalf("error %v, plan %+v", err, p)
	}
	if after := r.world.Dump(); after != before {
		t.Errorf("something was touched\n%s\n---\n%s", before, after)
	}
}

// TestEventsInOrder: each step tells of its start and its end, in an order that respects the needs.
func TestEventsInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	done := map[string]bool{}
	started := map[string]bool{}
	var needs map[string][]string
	s := r.session()
	defer s.Close()
	p, err := r.build(s, plan.Build)
	must(t, err)
	needs = map[string][]string{}
	for _, st := range p.Steps {
		needs[st.ID] = st.Needs
	}
	_, err = s.Apply(context.Background(), context.Background(), p, provision.RunOptions{ID: "x", Parallelism: 2, Events: func(e provision.Event) {
		switch e.Type {
		case provision.StepStarted:
			for _, n := range needs[e.Step] {
				if !done[n] {
					t.Errorf("%s began before %s was done", e.Step, n)
				}
			}
			started[e.Step] = true
			if len(started)-len(done) > 2 {
				t.Errorf("%d steps in flight", len(started)-len(done))
			}
		case provision.StepDone, provision.StepSkipped:
			if !started[e.Step] {
				t.Errorf("%s ended before it began", e.Step)
			}
			done[e.Step] = true
		}
	}})
	must(t, err)
	if len(done) != len(p.Steps) {
		t.Errorf("%d of %d steps told of their end", len(done), len(p.Steps))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestBadSettingStopsAtTheFirstHost: a configuration that the host's own
// kvserver does not take is written nowhere, and no member is touched.
func TestBadSettingStopsAtTheFirstHost(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	before := r.world.Dump()
	r.respec(strings.Replace(threeMembers, "client ", "server { extra_options = { max-txn-ops = 666 } }\n  client ", 1))
	_, rep, err := r.run(context.Background(), plan.Build, nil)
	if err == nil || !strings.Contains(err.Error(), "nothing was written") || !strings.Contains(err.Error(), "max-txn-ops") {
		t.Fatalf("error %v", err)
	}
	if rep.Counts[provision.Failed] != 1 || rep.Counts[provision.Changed] != 0 {
		t.Errorf("counts %v", rep.Counts)
	}
	if after := r.world.Dump(); after != before {
		t.Errorf("something was touched:\n%s", after)
	}
}

// TestAnotherKeyIsSeen: a key that its certificate was not made for is seen
// without reading it, and an interrupted change of one is finished.
func TestAnotherKeyIsSeen(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]func(m *hosttest.Machine){
		"another key": func(m *hosttest.Machine) {
			m.WriteFile("/etc/quorate/lab/pki/peer-key.pem", []byte("PRIVATE KEY of a backup"), 0o600)
		},
		"a new key waiting": func(m *hosttest.Machine) {
			m.WriteFile("/etc/quorate/lab/pki/peer-key.pem.new", []byte("PRIVATE KEY new"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, threeMembers)
			must(t, r.apply())
			hurt(r.world.Machine("etcd2"))
			p, err := r.plan()
			must(t, err)
			if len(p.Steps) == 0 || p.Steps[0].ID != "certificates etcd2" {
				t.Fatalf("planned %+v", p.Steps)
			}
			b, err := p.Encode()
			must(t, err)
			if strings.Contains(string(b), "PRIVATE KEY") {
				t.Error("the plan holds a key")
			}
			must(t, r.apply())
			r.settled(t)
		})
	}
}

// TestForbiddenForwarding: where no host lets anybody forward, members are
// asked through kvserver on their hosts; nothing else is different.
func TestForbiddenForwarding(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	for _, m := range r.world.Machines() {
		m.ForbidForwarding(true)
		m.HandleStream("kvserver", func(m *hosttest.Machine, argv []string, _ io.ReadWriter) error {
			if len(argv) != 5 || argv[1] != "relay" || argv[2] != "--raw" {
				return hosttest.Exit(2, "usage")
			}
			c, err := r.etcd.dial(m.Name(), argv[4])
			if err != nil {
				return hosttest.Exit(1, err.Error())
			}
			return c.Close()
		})
	}
	must(t, r.apply())
	r.settled(t)
}

// TestPeersThatDoNotReachEachOther: named with both ends before anything is started; and it goes on once they do.
func TestPeersThatDoNotReachEachOther(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	r.world.Machine("etcd2").WriteFile("/firewall", []byte("etcd3"), 0o644)
	_, _, err := r.run(context.Background(), plan.Build, nil)
	if err == nil || !strings.Contains(err.Error(), "etcd2 cannot reach etcd3 at 192.168.7.103:2380: no route to host") {
		t.Fatalf("error %v", err)
	}
	if r.etcd.healthy() != 0 || r.etcd.peers["etcd1"].joined {
		t.Error("something was started")
	}
	r.world.Machine("etcd2").RemoveAll("/firewall")
	must(t, r.apply())
	r.settled(t)
}

// TestLookingNeedsNoCAKey: with a key that nobody can open, members are asked
// with their hosts' own certificates, and a plan says what it says otherwise.
func TestLookingNeedsNoCAKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	r.ca.locked, r.ca.opened = true, 0
	for _, m := range r.world.Machines() {
		m.HandleStream("kvserver", func(m *hosttest.Machine, argv []string, _ io.ReadWriter) error {
			if len(argv) != 10 || argv[1] != "relay" || argv[2] != "--address" || argv[5] == "" {
				return hosttest.Exit(2, strings.Join(argv, " "))
			}
			c, err := r.etcd.dial(m.Name(), argv[3])
			if err != nil {
				return hosttest.Exit(1, err.Error())
			}
			return c.Close()
		})
	}
	p, err := r.plan()
	must(t, err)
	if !p.Empty() || len(p.Held) > 0 || p.Before.Healthy != 3 {
		t.Errorf("%v: %+v, held %+v", p.Before, p.Steps, p.Held)
	}
	r.world.Machine("etcd3").Crash("quorate-lab.service")
	must(t, r.apply()) // nothing is to be signed
	r.settled(t)
	if r.ca.opened != 0 {
		t.Errorf("the CA was opened %d times", r.ca.opened)
	}
}
