package plan_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quorate/plan"
	"quorate/plan/spec"
)

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func cut(owner string) (user, group string, ok bool) { return strings.Cut(owner, ":") }

// load reads one cluster from HCL.
func load(t interface {
	Helper()
	Fatalf(string, ...any)
}, hcl string) *spec.Cluster {
	t.Helper()
	s, diags := spec.Load([]spec.File{{Name: "spec.hcl", Bytes: []byte(hcl)}}, spec.Options{Dir: "/work-dir"})
	if diags.HasErrors() {
		t.Fatalf("the story's spec is wrong: %v", diags)
	}
	return s.Clusters[0]
}

// cluster of n members.
func cluster(t interface {
	Helper()
	Fatalf(string, ...any)
}, n int) *spec.Cluster {
	t.Helper()
	var b strings.Builder
	b.WriteString("cluster \"lab\" {\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "  member \"etcd%d\" { address = \"192.168.7.10%d\" }\n", i, i)
	}
	b.WriteString("  client \"apiserver\" {}\n}\n")
	return load(t, b.String())
}

// TestImports: plan is pure, and so is everything below it.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "quorate/plan").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "quorate/plan/spec") {
		t.Fatal("go list gave no dependencies to judge")
	}
	for _, d := range deps {
		switch {
		case slices.Contains([]string{"net", "net/http", "os/exec", "crypto/x509", "database/sql"}, d),
			strings.HasPrefix(d, "golang.org/x/crypto/ssh"), strings.HasPrefix(d, "github.com/cloudflare/cfssl"),
			strings.HasPrefix(d, "go.etcd.io/"), strings.HasPrefix(d, "quorate/provision"):
			t.Errorf("plan depends on %s", d)
		}
	}
}

// TestRoundTrip: a plan survives its JSON, and a tampered one is refused.
func TestRoundTrip(t *testing.T) {
	w := bare(cluster(t, 3))
	p, err := plan.Build(w.spec, w.obs, options())
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	q, err := plan.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	c, err := q.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, c) {
		t.Error("the plan changed on its way through JSON")
	}
	for name, edit := range map[string][2]string{
		"format":   {`"format": 2`, `"format": 1`},
		"verb":     {`"verb": "apply"`, `"verb": "wipe"`},
		"kind":     {`"kind": "push"`, `"kind": "shove"`},
		"observed": {`"value": "none unsealed=false "`, `"value": "x"`},
	} {
		if _, err := plan.Decode(bytes.Replace(b, []byte(edit[0]), []byte(edit[1]), 1)); err == nil {
			t.Errorf("a plan with another %s was taken", name)
		}
	}
}

// TestSameBytes: the same inputs give the same bytes.
func TestSameBytes(t *testing.T) {
	c := cluster(t, 5)
	var first []byte
	for range 20 {
		p, err := plan.Build(c, bare(c).obs, options())
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		}
		if !bytes.Equal(first, b) {
			t.Fatal("two plans of the same inputs differ")
		}
	}
}

// hurt is one thing that can happen to a world.
type hurt struct {
	name string
	do   func(w *world, member string)
}

var hurts = []hurt{
	{"stop", func(w *world, m string) { w.kill(m); w.elect() }},
	{"edit config", func(w *world, m string) { w.edit(m, func(l plan.Layout) string { return l.EtcdYAML }) }},
	{"edit unit", func(w *world, m string) {
		w.edit(m, func(l plan.Layout) string { return l.UnitFile })
		w.obs.Hosts[m].Unit.NeedReload = true
	}},
	{"replace binary", func(w *world, m string) {
		l := plan.LayoutOf(w.spec, w.spec.Member(m))
		f := w.obs.Hosts[m].Files[l.KVServer]
		f.Digest = fake("other")
		w.obs.Hosts[m].Files[l.KVServer] = f
	}},
	{"run with another config", func(w *world, m string) {
		if w.obs.Hosts[m].Unit.PID != 0 {
			w.obs.Hosts[m].Unit.ConfigDigest = fake("other")
		}
	}},
	{"run another binary", func(w *world, m string) {
		if w.obs.Hosts[m].Unit.PID != 0 {
			w.obs.Hosts[m].Unit.ExeDigest = fake("other")
		}
	}},
	{"delete certificate", func(w *world, m string) {
		l := plan.LayoutOf(w.spec, w.spec.Member(m))
		delete(w.obs.Hosts[m].Files, l.Cert("server"))
		delete(w.obs.Hosts[m].Certificates, l.Cert("server"))
	}},
	{"delete manifest", func(w *world, m string) {
		if slices.Contains(w.up(), m) {
			l := plan.LayoutOf(w.spec, w.spec.Member(m))
			w.obs.Hosts[m].Manifest = nil
			delete(w.obs.Hosts[m].Files, l.Manifest)
		}
	}},
	{"disable", func(w *world, m string) { w.obs.Hosts[m].Unit.Enabled = false }},
	{"lose client", func(w *world, _ string) { delete(w.obs.Clients, "apiserver") }},
}

func (w *world) edit(m string, path func(plan.Layout) string) {
	p := path(plan.LayoutOf(w.spec, w.spec.Member(m)))
	f := w.obs.Hosts[m].Files[p]
	f.Content = append(slices.Clone(f.Content), "# edited\n"...)
	f.Digest = sha(string(f.Content))
	w.obs.Hosts[m].Files[p] = f
}

// TestInvariants: whatever happened to a cluster of 1 to 5, and wherever a run
// is cut: no step takes a healthy voter away while another is down or the
// quorum would not survive it (but for 1 and 2 voters, where the plan says so);
// planning again completes; and then there is nothing left to do.
func TestInvariants(t *testing.T) {
	t.Parallel()
	clusters := map[int]*spec.Cluster{}
	for n := 1; n <= 5; n++ {
		clusters[n] = cluster(t, n)
	}
	rapid.Check(t, func(t *rapid.T) {
		c := clusters[rapid.IntRange(1, 5).Draw(t, "members")]
		w := bare(c)
		if rapid.Bool().Draw(t, "settled") {
			must(t, w.settle())
			for range rapid.IntRange(0, 6).Draw(t, "hurts") {
				h := hurts[rapid.IntRange(0, len(hurts)-1).Draw(t, "hurt")]
				m := c.Members[rapid.IntRange(0, len(c.Members)-1).Draw(t, "member")].Name
				t.Logf("%s on %s", h.name, m)
				h.do(w, m)
			}
		}
		for range 1 + rapid.IntRange(0, 3).Draw(t, "cuts") {
			p := build(t, w)
			judge(t, w, p)
			n := rapid.IntRange(0, len(p.Steps)).Draw(t, "cut after")
			for _, s := range p.Steps[:n] {
				w.watched(t, s)
			}
		}
		for i := 0; ; i++ {
			p := build(t, w)
			judge(t, w, p)
			if p.Empty() && len(p.Held) == 0 {
				break
			}
			if i == 2 {
				t.Fatalf("planning again does not come to an end: %+v, held %+v", p.Steps, p.Held)
			}
			for _, s := range p.Steps {
				w.watched(t, s)
			}
		}
		if len(w.up()) != len(c.Members) {
			t.Fatalf("nothing left to do, but only %v are up", w.up())
		}
	})
}

// watched does a step and sees that the voters are as the plan said.
func (w *world) watched(t fataler, s plan.Step) {
	before := len(w.up())
	if e := s.Quorum; e.Before.Total > 0 && before != e.Before.Healthy {
		t.Fatalf("%s: %d healthy voters, the plan said %d before it", s.ID, before, e.Before.Healthy)
	}
	w.do(s)
	if after := len(w.up()); after != s.Quorum.After.Healthy {
		t.Fatalf("%s: %d healthy voters, the plan said %d after it", s.ID, after, s.Quorum.After.Healthy)
	}
}

// judge holds a plan against the invariants.
func judge(t fataler, w *world, p *plan.Plan) {
	for _, s := range p.Steps {
		e := s.Quorum
		if e.During.Healthy < e.Before.Healthy && p.Verb == plan.Apply {
			if e.Before.Healthy < e.Before.Total {
				t.Fatalf("%s takes a voter away while only %s", s.ID, e.Before)
			}
			if !e.During.Writable() && e.Before.Total > 2 {
				t.Fatalf("%s breaks the quorum: %s", s.ID, e.During)
			}
			if !e.During.Writable() && !slices.ContainsFunc(p.Interrupts(), func(i plan.Step) bool { return i.ID == s.ID }) {
				t.Fatalf("%s interrupts and the plan does not say so", s.ID)
			}
		}
		if a, ok := s.Action.(*plan.Start); ok && a.Bootstrap {
			for _, h := range w.obs.Hosts {
				if h.Manifest != nil && h.Manifest.Formed {
					t.Fatalf("%s bootstraps beside a cluster that has formed", s.ID)
				}
			}
		}
	}
	// One step that touches the quorum at a time: each such step needs the one before it.
	var last string
	after := map[string]map[string]bool{} // everything a step waits for
	for _, s := range p.Steps {
		after[s.ID] = map[string]bool{}
		for _, n := range s.Needs {
			after[s.ID][n] = true
			for o := range after[n] {
				after[s.ID][o] = true
			}
		}
		if s.Quorum.Touches() && !s.Action.Exclusive() {
			t.Fatalf("%s touches the quorum and is not exclusive", s.ID)
		}
		if !s.Action.Exclusive() {
			continue
		}
		if last != "" && !after[s.ID][last] {
			t.Fatalf("%s and %s touch the quorum side by side", last, s.ID)
		}
		last = s.ID
	}
}

func build(t fataler, w *world) *plan.Plan {
	w.inspect()
	p, err := plan.Build(w.spec, w.obs, options())
	must(t, err)
	return p
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// TestEveryCutAndOneDeath walks every bootstrap, roll and cold start of 1, 2, 3 and 5
// members: cut after each step, one more member (or none) dying at that moment. Planning
// again completes, within the invariants.
func TestEveryCutAndOneDeath(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 5} {
		c := cluster(t, n)
		for name, prepare := range map[string]func(*world){
			"bootstrap": func(*world) {},
			"roll": func(w *world) {
				must(t, w.settle())
				w.obs.Binaries["linux/amd64"]["kvserver"] = plan.Binary{Digest: fake("newer"), Size: 1, Version: "3.7.4"}
			},
			"cold start": func(w *world) {
				must(t, w.settle())
				for _, m := range c.Members {
					w.kill(m.Name)
				}
				w.elect()
			},
		} {
			steps := 1
			for cut := 0; cut <= steps; cut++ {
				for victim := -1; victim < n; victim++ {
					w := bare(c)
					prepare(w)
					p := build(t, w)
					judge(t, w, p)
					steps = len(p.Steps)
					for _, s := range p.Steps[:cut] {
						w.watched(t, s)
					}
					if victim >= 0 {
						w.kill(c.Members[victim].Name)
						w.elect()
					}
					p = build(t, w)
					for i := 0; i < 3 && !p.Empty(); i++ {
						judge(t, w, p)
						for _, s := range p.Steps {
							w.watched(t, s)
						}
						p = build(t, w)
					}
					if !p.Empty() || len(p.Held) > 0 || len(w.up()) != n {
						t.Fatalf("%s of %d, cut after %d, victim %d: %d steps left, held %+v, up %v", name, n, cut, victim, len(p.Steps), p.Held, w.up())
					}
				}
			}
		}
	}
}
