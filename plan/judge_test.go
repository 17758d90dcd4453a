package plan_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

// scenario is where a walk begins.
type scenario struct {
	name    string
	quick   []int // the sizes that an ordinary test walks; the soak walks both
	soak    []int
	prepare func(t fataler, r *reality)
}

var scenarios = []scenario{
	{"bootstrap", []int{1}, []int{2, 3}, func(fataler, *reality) {}},
	{"roll", []int{1, 2}, []int{3}, func(t fataler, r *reality) { r.settled(t); respecQuota(r.spec, 1<<30) }},
	{"roll of a bad setting", []int{1}, []int{2, 3}, func(t fataler, r *reality) { r.settled(t); respecQuota(r.spec, 666) }},
	{"cold start", []int{1, 2}, []int{3, 4, 5}, func(t fataler, r *reality) {
		r.settled(t)
		for _, m := range r.spec.Members {
			r.stop(r.seat(m.Name))
		}
	}},
	{"nothing to do", []int{1, 2}, []int{3, 4}, func(t fataler, r *reality) { r.settled(t); r.still = true }},
	{"join", []int{1}, []int{2, 3}, recasting("add etcd8 192.168.7.108")},
	{"join of two", []int{}, []int{1, 3}, recasting("add etcd8 192.168.7.108", "add etcd9 192.168.7.109")},
	{"join beside a dead one", []int{}, []int{3}, func(t fataler, r *reality) {
		recasting("add etcd8 192.168.7.108")(t, r)
		r.lockOut("etcd3")
		r.stuck = len(r.spec.Members) == 4 // etcd takes nobody while fewer than three serve
	}},
	{"leave", []int{2}, []int{3, 4}, recasting("drop etcd1")},
	{"leave of two", []int{}, []int{5}, recasting("drop etcd1 etcd5")},
	{"leave beside a dead one", []int{3}, []int{4}, func(t fataler, r *reality) {
		recasting("drop etcd1")(t, r)
		r.lockOut("etcd3")
		r.stuck = true // who is dead is in the spec still
	}},
	{"leave beside another operator", []int{}, []int{3}, func(t fataler, r *reality) {
		recasting("drop etcd1")(t, r)
		r.others = 1
	}},
	{"replace a dead one", []int{}, []int{3}, func(t fataler, r *reality) {
		recasting("drop etcd3", "add etcd8 192.168.7.108")(t, r)
		r.lockOut("etcd3")
	}},
	{"replace a living one", []int{}, []int{2, 3}, recasting("drop etcd1", "add etcd8 192.168.7.108")},
	{"replace a living one by one that is unfit", []int{}, []int{3}, func(t fataler, r *reality) {
		recasting("drop etcd1", "add etcd8 192.168.7.108")(t, r)
		r.seat("etcd8").host.ClockOffset = 24 * time.Hour
		r.stuck = true
	}},
	{"move to another host", []int{}, []int{2}, recasting("move etcd1 192.168.7.111")},
	{"peer ports change", []int{1}, []int{2, 3}, func(t fataler, r *reality) { r.settled(t); r.readdressed() }},
	{"data directories move", []int{1}, []int{2, 3}, func(t fataler, r *reality) {
		r.settled(t)
		c := *r.spec
		c.Server.DataDir = "/srv/etcd"
		r.redirected(&c)
	}},
	{"data and logs move apart", []int{1}, []int{2, 3}, func(t fataler, r *reality) {
		r.settled(t)
		c := *r.spec
		c.Server.DataDir, c.Server.WALDir = "/srv/etcd", "/ssd/wal"
		r.redirected(&c)
	}},
	{"a removed one comes back", []int{}, []int{3}, func(t fataler, r *reality) {
		r.settled(t)
		r.still = true
		r.list = slices.DeleteFunc(slices.Clone(r.list), func(m kvserver.Member) bool { return m.Name == "etcd3" })
		r.vote()
	}},
}

// recasting is a cluster whose spec has other members than it.
func recasting(changes ...string) func(t fataler, r *reality) {
	return func(t fataler, r *reality) {
		r.settled(t)
		r.still = true
		c := *r.spec
		c.Members = slices.Clone(c.Members)
		for _, change := range changes {
			words := strings.Fields(change)
			recast(t, &c, words[0], words[1:])
		}
		r.respec(&c)
		r.vote()
	}
}

// readdressed is a cluster whose spec has another peer port for each member.
func (r *reality) readdressed() {
	r.coarse = len(r.spec.Members) > 2
	c := *r.spec
	c.Members = slices.Clone(c.Members)
	lag := map[string]int{}
	for i, m := range c.Members {
		was := urlOf(m)
		other := *m
		other.PeerPort += 100
		c.Members[i] = &other
		if n, data := r.lag[was]; data {
			lag[urlOf(&other)] = n
		}
		if r.leader == was {
			r.leader = urlOf(&other)
		}
	}
	r.lag = lag
	r.readdress(&c)
	r.vote()
}

// redirected is a cluster whose spec has other folders for the data.
func (r *reality) redirected(c *spec.Cluster) {
	r.coarse = len(c.Members) > 2
	r.spec = c
	r.former()
	r.vote()
}

// lockOut is a host that is gone for good.
func (r *reality) lockOut(name string) {
	s := r.seat(name)
	halt(s.host)
	r.unreach(s, "no route to host")
	r.vote()
}

func respecQuota(c *spec.Cluster, bytes int64) { c.Server.QuotaBackendBytes = bytes }

// begin is a cluster of n in a scenario, with one cut, one death and one lost disk to come.
func (s scenario) begin(t fataler, n int, leader int, off rules) *reality {
	r := &reality{world: bare(cluster(t, n)), lag: map[string]int{}, down: map[string]bool{}}
	s.prepare(t, r)
	r.rules = off
	if voters, _ := r.voting(r.running()); r.leader != "" {
		r.leader = voters[min(leader, len(voters)-1)].url
		r.vote()
	}
	r.cuts, r.deaths, r.losses = 1, 1, 1
	return r
}

// settled applies until nothing is left to do.
func (r *reality) settled(t fataler) {
	t.Helper()
	for range 3 {
		p := build(t, r.world)
		for _, s := range p.Steps {
			for i, f := range r.actions(s) {
				if !f(r) {
					t.Fatalf("%s %d failed", s.ID, i)
				}
			}
		}
		if p.Empty() {
			return
		}
	}
	t.Fatalf("it does not settle")
}

// TestJudge walks every scenario with one cut, one death and one lost disk at
// any action, until nothing is left to try, and prints how much that was.
func TestJudge(t *testing.T) {
	t.Parallel()
	soak := os.Getenv("QUORATE_SOAK") != ""
	for _, s := range scenarios {
		sizes := s.quick
		if soak {
			sizes = slices.Concat(s.quick, s.soak)
		}
		for _, n := range sizes {
			t.Run(fmt.Sprintf("%s of %d", s.name, n), func(t *testing.T) {
				t.Parallel()
				for leader := n - 1; leader >= 0; leader-- {
					began := time.Now()
					c := &court{tell: func(states, waiting int) {
						t.Logf("%s of %d: %d states so far, %d wait, after %.0f s", s.name, n, states, waiting, time.Since(began).Seconds())
					}}
					if b, trace := c.hear(s.begin(t, n, leader, rules{})); b != nil {
						t.Fatalf("%s: %s\n%s", b.invariant, b.what, trace)
					}
					t.Logf("%s of %d: %d states, %d plans in %.1f s; ends: %v", s.name, n, c.states, len(c.plans), time.Since(began).Seconds(), c.ends)
					if !soak || s.name == "bootstrap" || s.name == "cold start" { // in these nobody leads yet
						break
					}
				}
			})
		}
	}
}

// mutation is a rule that is switched off, where, and the invariant that finds it.
type mutation struct {
	off       rules
	in        string // a scenario
	members   int
	invariant string
	cuts      int // that may come, beside one death; 1 has one lost disk with it
}

// TestJudgeCatches switches the rules off one at a time that the planner, hosts,
// executors and the scheduler follow: the judge finds what each of them prevents, by the
// invariant named, and prints the shortest way there. With that invariant not looked at, it does not.
func TestJudgeCatches(t *testing.T) {
	t.Parallel()
	of := map[string]scenario{}
	for _, s := range scenarios {
		of[s.name] = s
	}
	table := map[string]mutation{
		"a host that forgets that its member has served": {rules{noMark: true}, "cold start", 3, "I3", 1},
		"a restart that does not look at the others":     {rules{noGate: true}, "roll", 3, "I1", 0},
		"a scheduler that waits for no step":             {rules{noNeeds: true}, "roll", 2, "I4", 1},
		"an executor that does not look what came of it": {rules{noLook: true}, "roll of a bad setting", 3, "I9", 0},
		"a look that takes a process for a member":       {rules{noAsk: true}, "roll of a bad setting", 1, "I10", 1},
		"a run that notes nothing down":                  {rules{noRecord: true}, "roll", 1, "I6", 1},

		"a planner that starts a member whose disk is blank":        {rules{without: "data-lost"}, "cold start", 3, "I6", 1},
		"a planner that passes over who does not serve":             {rules{without: "not-serving"}, "roll of a bad setting", 1, "I10", 0},
		"a planner that rolls while a voter is down":                {rules{without: "quorum"}, "roll", 3, "I1", 1},
		"a planner that restarts members side by side":              {rules{without: "exclusive"}, "roll", 3, "I4", 0},
		"a planner that stages what is new everywhere at once":      {rules{without: "canary"}, "roll", 3, "I9", 0},
		"a planner that forgets who has what is new":                {rules{without: "holder-first"}, "roll", 3, "I9", 1},
		"a planner that goes on beside one that has it and is down": {rules{without: "holder-is-down"}, "roll", 3, "I9", 1},
		"a planner that does not know who leads":                    {rules{without: "leader-last"}, "roll", 3, "I4", 0},

		"a member that is promoted as it is":                 {rules{noCatchUp: true}, "join", 1, "I2", 0},
		"an expulsion that does not look at the others":      {rules{noGate: true}, "leave", 4, "I1", 0},
		"a change of members that does not look at the list": {rules{noExpect: true}, "leave beside another operator", 3, "I1", 0},

		"an update beside a voter that is down":                             {rules{noGate: true}, "peer ports change", 3, "I1", 0},
		"a planner that stages other addresses and folders with all others": {rules{without: "stage-late"}, "peer ports change", 3, "I1", 0},
		"a host that starts a log alone":                                    {rules{noWhole: true}, "data and logs move apart", 1, "I6", 1},

		"a planner that adds whatever etcd takes":             {rules{without: "add-needs-voters"}, "join beside a dead one", 3, "I6", 0},
		"a planner that expels the dead last":                 {rules{without: "dead-first"}, "replace a dead one", 3, "I6", 0},
		"a planner that expels the living first":              {rules{without: "living-last"}, "replace a living one", 3, "I1", 0},
		"a planner that waits for no successor":               {rules{without: "expel-waits"}, "replace a living one by one that is unfit", 3, "I1", 0},
		"a planner that expels whatever is left":              {rules{without: "expel-quorum"}, "leave beside a dead one", 3, "I1", 0},
		"a planner that has who joins start as new":           {rules{without: "existing"}, "join", 1, "I3", 0},
		"a planner that starts who was removed with its data": {rules{without: "removed-data"}, "a removed one comes back", 3, "I8", 0},
	}
	for _, g := range plan.Guards() {
		if !slices.ContainsFunc(slices.Collect(maps.Values(table)), func(m mutation) bool { return m.off.without == g }) {
			t.Errorf("nothing shows what the guard %s prevents", g)
		}
	}
	for name, m := range table {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			walked := 0 // as far as the first walk came
			for _, off := range []string{"", m.invariant} {
				c := &court{off: off, most: walked}
				r := of[m.in].begin(t, m.members, 0, m.off)
				r.cuts, r.losses = m.cuts, m.cuts
				b, trace := c.hear(r)
				walked = c.states
				switch {
				case off == "" && (b == nil || b.invariant != m.invariant):
					t.Errorf("found %+v, want %s\n%s", b, m.invariant, trace)
				case off == "":
					t.Logf("%s: %s\n  %s", b.invariant, b.what, trace)
				case b != nil && b.invariant == off:
					t.Errorf("%s is looked at although it is off", off)
				}
			}
		})
	}
}
