package provision_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

const labUnit = "quorate-lab.service"

// clusterOf is a spec of members, each "name" at its own address, 192.168.7.100 and its number, or "name@number".
func clusterOf(members ...string) string {
	var b strings.Builder
	for _, m := range members {
		name, at, ok := strings.Cut(m, "@")
		if !ok {
			at = strings.TrimPrefix(name, "etcd")
		}
		fmt.Fprintf(&b, "  member %q { address = \"192.168.7.10%s\" }\n", name, at)
	}
	return "cluster \"lab\" {\n" + b.String() + "  client \"apiserver\" {}\n}"
}

// reinstall makes a machine anew: nothing of ours is left.
func reinstall(r *rig, machine string) {
	m := r.world.Machine(machine)
	m.Crash(labUnit)
	for _, dir := range []string{"/etc/quorate", "/opt/quorate", "/var/lib/quorate", "/etc/systemd/system/" + labUnit} {
		m.RemoveAll(dir)
	}
	m.Reboot()
}

// dies has a host go for good: its process ends, and nobody reaches it.
func dies(r *rig, machine string) {
	r.world.Machine(machine).Crash(labUnit)
	r.world.Machine(machine).SetUnreachable(errors.New("no route to host"))
}

// membersChange is a change of who the members are.
type membersChange struct {
	before []string
	after  []string
	// prepare is done to the settled cluster of before.
	prepare func(t *testing.T, r *rig)
	// stay are the machines on which nothing may happen but that the manifest is written.
	stay []string
	// least is how many voters there are at the worst moment.
	least int
	// gone are machines on which data is left aside, and nothing else of ours.
	gone []string
	// accept is what would be held otherwise.
	accept []plan.Reason
}

var membersChanges = map[string]membersChange{
	"grow 1 to 3": {before: []string{"etcd1"}, after: []string{"etcd1", "etcd2", "etcd3"}, stay: []string{"etcd1"}, least: 1},
	"grow 3 to 4": {before: []string{"etcd1", "etcd2", "etcd3"}, after: []string{"etcd1", "etcd2", "etcd3", "etcd4"}, stay: []string{"etcd1", "etcd2", "etcd3"}, least: 3},
	"shrink 3 to 2, a follower goes": {before: []string{"etcd1", "etcd2", "etcd3"}, after: []string{"etcd1", "etcd2"}, prepare: leads("etcd1"),
		stay: []string{"etcd1", "etcd2"}, least: 2, gone: []string{"etcd3"}},
	"shrink 3 to 2, the leader goes": {before: []string{"etcd1", "etcd2", "etcd3"}, after: []string{"etcd1", "etcd2"}, prepare: leads("etcd3"),
		stay: []string{"etcd1", "etcd2"}, least: 2, gone: []string{"etcd3"}},
	"shrink 2 to 1, the leader goes": {before: []string{"etcd1", "etcd2"}, after: []string{"etcd1"}, prepare: leads("etcd2"),
		stay: []string{"etcd1"}, least: 1, gone: []string{"etcd2"}},
	"a dead one is replaced": {before: []string{"etcd1", "etcd2", "etcd3"}, after: []string{"etcd1", "etcd2", "etcd4"},
		prepare: func(_ *testing.T, r *rig) { dies(r, "etcd3") }, stay: []string{"etcd1", "etcd2"}, least: 2},
	"a dead one is replaced under its name": {before: []string{"etcd1", "etcd2", "etcd3"}, after: []string{"etcd1", "etcd2", "etcd3@9"},
		prepare: func(_ *testing.T, r *rig) { dies(r, "etcd3") }, stay: []string{"etcd1", "etcd2"}, least: 2},
	"a living one is replaced": {before: []string{"etcd1", "etcd2", "etcd3"}, after: []string{"etcd1", "etcd2", "etcd4"}, prepare: leads("etcd3"),
		stay: []string{"etcd1", "etcd2"}, least: 3, gone: []string{"etcd3"}},
	"one moves to another host": {before: []string{"etcd1", "etcd2", "etcd3"}, after: []string{"etcd1", "etcd2", "etcd3@9"}, prepare: leads("etcd3"),
		stay: []string{"etcd1", "etcd2"}, least: 3, gone: []string{"etcd3"}},
	"a reinstalled host": {before: []string{"etcd1", "etcd2", "etcd3"}, after: []string{"etcd1", "etcd2", "etcd3"},
		prepare: func(_ *testing.T, r *rig) { reinstall(r, "etcd3") }, stay: []string{"etcd1", "etcd2"}, least: 2},
	"the host of an expelled one comes back": {before: []string{"etcd1", "etcd2", "etcd3"}, after: []string{"etcd1", "etcd2"}, prepare: func(t *testing.T, r *rig) {
		dies(r, "etcd3")
		r.respec(clusterOf("etcd1", "etcd2"))
		must(t, r.apply())
		r.world.Machine("etcd3").Heal()
	}, stay: []string{"etcd1", "etcd2"}, least: 2, gone: []string{"etcd3"}},
	"an expelled one is wanted again, its data is there": {before: []string{"etcd1", "etcd2", "etcd3"}, after: []string{"etcd1", "etcd2", "etcd3"}, prepare: func(t *testing.T, r *rig) {
		dies(r, "etcd3")
		r.respec(clusterOf("etcd1", "etcd2"))
		must(t, r.apply())
		r.world.Machine("etcd3").Heal()
	}, stay: []string{"etcd1", "etcd2"}, least: 2, accept: []plan.Reason{plan.SpecBehind}},
}

// run is one run, with what is accepted.
func (c membersChange) run(r *rig) (*plan.Plan, error) {
	p, _, err := r.run(context.Background(), func(s *spec.Cluster, o *plan.Observed, opt plan.Options) (*plan.Plan, error) {
		opt.Accept = c.accept
		return plan.Build(s, o, opt)
	}, nil)
	return p, err
}

// leads has a member of the settled cluster lead.
func leads(machine string) func(*testing.T, *rig) {
	return func(_ *testing.T, r *rig) { r.etcd.leader = machine }
}

// kept is what a change of members may not touch: files without the manifest, and the process.
func (r *rig) kept(machine string) map[string]string {
	m := r.world.Machine(machine)
	out := map[string]string{"process": fmt.Sprint(m.Unit(labUnit).PID)}
	for _, dir := range []string{"/etc", "/opt"} {
		for _, p := range m.Paths(dir) {
			if b, err := m.ReadFile(p); err == nil && !strings.HasSuffix(p, "/manifest.json") {
				out[p] = string(b)
			}
		}
	}
	return out
}

// done sees that the change is complete: nothing is left to do, the members are the spec's and nobody else, all voters.
func (c membersChange) done(t *testing.T, r *rig, kept map[string]map[string]string) {
	r.settled(t)
	var names []string
	for _, m := range r.etcd.members {
		names = append(names, m.Name+"@"+strings.TrimSuffix(strings.TrimPrefix(m.PeerURLs[0], "https://192.168.7.10"), ":2380"))
		if m.Learner {
			t.Errorf("%s is a learner still", m.Name)
		}
	}
	var want []string
	for _, m := range r.cluster.Members {
		want = append(want, m.Name+"@"+strings.TrimPrefix(m.Address, "192.168.7.10"))
	}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("the members are %q, want %q", names, want)
	}
	if r.etcd.broke || r.etcd.least < c.least {
		t.Errorf("at the worst moment %d voters were up, want %d; without a quorum: %v", r.etcd.least, c.least, r.etcd.broke)
	}
	for _, name := range c.stay {
		if now := r.kept(name); !maps.Equal(now, kept[name]) {
			for p := range now {
				if now[p] != kept[name][p] {
					t.Errorf("%s: %s was\n%s\nand is\n%s", name, p, kept[name][p], now[p])
				}
			}
			t.Errorf("%s: there were %d files, and are %d", name, len(kept[name]), len(now))
		}
	}
	for _, name := range c.gone {
		m := r.world.Machine(name)
		if u := m.Unit(labUnit); u.PID != 0 || u.Active == "active" {
			t.Errorf("%s still runs: %+v", name, u)
		}
		for _, p := range slices.Concat(m.Paths("/etc/quorate"), m.Paths("/opt/quorate"), m.Paths("/etc/systemd/system")) {
			if strings.Contains(p, "lab") {
				t.Errorf("%s: %s is left", name, p)
			}
		}
		if wals := slices.DeleteFunc(m.Paths("/var/lib/quorate"), func(p string) bool { return !strings.HasSuffix(p, ".wal") }); len(wals) != 1 || !strings.Contains(wals[0], "/.aside/") {
			t.Errorf("%s: its log is at %q, want it aside", name, wals)
		}
	}
}

// begun is the change about to be made.
func (c membersChange) begun(t *testing.T) (*rig, map[string]map[string]string) {
	r := newRig(t, clusterOf(c.before...))
	must(t, r.apply())
	if c.prepare != nil {
		c.prepare(t, r)
	}
	r.respec(clusterOf(c.after...))
	kept := map[string]map[string]string{}
	for _, name := range c.stay {
		kept[name] = r.kept(name)
	}
	r.world.ResetCalls()
	r.etcd.watching, r.etcd.least = true, 99
	return r, kept
}

func TestMembersChange(t *testing.T) {
	t.Parallel()
	for name, c := range membersChanges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, kept := c.begun(t)
			_, err := c.run(r)
			must(t, err)
			c.done(t, r, kept)
		})
	}
}

// rounds is how many runs a change may take after one that was cut.
const rounds = 3

// TestMembersChangeCutEverywhere: the tool dies at the first, second, … last call of a change of members, those to members
// included: before the call, half-way through it, after it with the answer lost; in an ordinary run of the tests each call
// in one of the three ways. Run again it completes; nobody is listed whom nobody asked for, no quorum is
// lost, and who was there and stays notices nothing.
func TestMembersChangeCutEverywhere(t *testing.T) {
	t.Parallel()
	for name, c := range membersChanges {
		for i, mode := range []string{"before", "midway", "reply lost"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				t.Parallel()
				most := 0
				n, stride := cuts(i)
				for done := false; !done && !t.Failed(); n += stride {
					synctest.Test(t, func(t *testing.T) { // nothing here needs real time
						var more int
						more, done = c.cut(t, n, mode)
						most = max(most, more)
					})
				}
				t.Logf("%d calls at most, cut after every %d of them, completed by at most %d more runs", n-stride, stride, most)
			})
		}
	}
}

// cut makes the change, which is cut after n calls, and completes it. It tells how many runs that took, and whether the
// change has no more calls than n.
func (c membersChange) cut(t *testing.T, n int, mode string) (more int, done bool) {
	r, kept := c.begun(t)
	if mode == "midway" {
		r.world.CutMidwayAfter(n)
	} else {
		r.world.CutAfter(n, mode == "reply lost")
	}
	if _, err := c.run(r); err == nil && !r.world.Cut() {
		return 0, true
	}
	r.world.Faults.Heal() // who is dead for good stays so
	for more = 1; ; more++ {
		p, err := c.run(r)
		if err == nil && p.Empty() {
			break
		}
		if more > rounds {
			t.Fatalf("cut %s call %d: after %d more runs it is not complete: %v; members %s", mode, n+1, more, err, listed(r.etcd.members))
		}
	}
	if c.done(t, r, kept); t.Failed() {
		t.Fatalf("cut %s call %d", mode, n+1)
	}
	return more - 1, false
}

func listed(members []kvserver.Member) string {
	var out []string
	for _, m := range members {
		role := ""
		if m.Learner {
			role = " as a learner"
		}
		out = append(out, fmt.Sprintf("%x %q %s%s", m.ID, m.Name, m.PeerURLs, role))
	}
	return strings.Join(out, "; ")
}
