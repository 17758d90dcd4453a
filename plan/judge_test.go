package plan_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"quorate/plan"
	"quorate/plan/spec"
)

// scenario is where a walk begins.
type scenario struct {
	name    string
	quick   int // the largest cluster of an ordinary test
	soak    int
	prepare func(t fataler, r *reality)
}

var scenarios = []scenario{
	{"bootstrap", 1, 3, func(fataler, *reality) {}},
	{"roll", 2, 3, func(t fataler, r *reality) { r.settled(t); respecQuota(r.spec, 1<<30) }},
	{"roll of a bad setting", 1, 3, func(t fataler, r *reality) { r.settled(t); respecQuota(r.spec, 666) }},
	{"cold start", 2, 5, func(t fataler, r *reality) {
		r.settled(t)
		for _, m := range r.spec.Members {
			r.stop(r.seat(m.Name))
		}
	}},
}

func respecQuota(c *spec.Cluster, bytes int64) { c.Server.QuotaBackendBytes = bytes }

// begin is a cluster of n in a scenario, with one cut, one death and one lost disk to come.
func (s scenario) begin(t fataler, n int, leader int, off rules) *reality {
	r := &reality{world: bare(cluster(t, n)), lag: map[string]int{}, down: map[string]bool{}}
	s.prepare(t, r)
	r.rules = off
	if r.leader != "" {
		r.leader = urlOf(r.spec.Members[leader])
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
		most := s.quick
		if soak {
			most = s.soak
		}
		for n := 1; n <= most; n++ {
			t.Run(fmt.Sprintf("%s of %d", s.name, n), func(t *testing.T) {
				t.Parallel()
				for leader := n - 1; leader >= 0; leader-- {
					began := time.Now()
					c := &court{}
					if b, trace := c.hear(s.begin(t, n, leader, rules{})); b != nil {
						t.Fatalf("%s: %s\n%s", b.invariant, b.what, trace)
					}
					t.Logf("%d states, %d plans in %.1f s; ends: %v", c.states, len(c.plans), time.Since(began).Seconds(), c.ends)
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
