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
	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/plan/spec"
)

// reality is what is so, whatever the plan says: what lies on the disks, who
// runs with what, what has been acknowledged. The judge walks through it action
// by action, each smaller than a step, with faults in between.
type reality struct {
	*world
	rules
	lag    map[string]int  // members with data: 0 has everything that was acknowledged, 1 lacks some of it, 2 never had a leader
	acked  bool            // something has been acknowledged
	proven bool            // somebody has served with what is new
	leader string          // "" while there is none
	down   map[string]bool // by a fault; they may boot again

	run   *plan.Plan // what is being applied; nil: nobody applies
	done  uint64     // its steps, by their place
	quiet place      // the step in progress that touches no voter
	loud  place      // the exclusive step in progress
	ran   bool       // a quorum served when it was planned
	clean bool       // nothing has gone wrong since this run began

	cuts, deaths, losses int // faults that may still come
	trace                *link
}

// rules that hosts, executors and the scheduler follow; a mutation switches one off.
type rules struct {
	noMark   bool // a host forgets that its member has served
	noGate   bool // a step that takes a member away does not look at the others first
	noNeeds  bool // the scheduler does not wait for what a step needs
	noLook   bool // a step is done whatever came of it
	noAsk    bool // who has a process is taken for a member that serves
	noRecord bool // what was done is not noted down
}

// place is how far a step is: 1 + its place in the plan, and the actions done. Zero: none.
type place struct{ step, at int }

// link is the way to a state, newest first.
type link struct {
	before *link
	what   string
}

func (l *link) String() string {
	var out []string
	for ; l != nil; l = l.before {
		out = append(out, l.what)
	}
	slices.Reverse(out)
	return strings.Join(out, " → ")
}

// broken is an invariant that does not hold; the numbers are the design's.
type broken struct{ invariant, what string }

func (r *reality) clone(what string) *reality {
	c := *r
	w := *r.world
	o := *r.obs
	o.Hosts = make(map[string]*plan.Host, len(r.obs.Hosts))
	for n, h := range r.obs.Hosts {
		k := *h
		k.Files, k.Certificates = maps.Clone(h.Files), maps.Clone(h.Certificates)
		o.Hosts[n] = &k
	}
	o.Clients = maps.Clone(r.obs.Clients)
	o.Cluster.Answers = maps.Clone(r.obs.Cluster.Answers)
	w.obs, w.voters = &o, slices.Clone(r.voters)
	c.world, c.lag, c.down = &w, maps.Clone(r.lag), maps.Clone(r.down)
	c.trace = &link{r.trace, what}
	return &c
}

// key tells states apart. What a look sees is in it, so states with one key are planned alike.
func (r *reality) key(runs map[*plan.Plan]int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %v %t %v %d %x %v %v %t %t %t %d%d%d", plan.FactsDigest(r.obs.Facts()), r.leader, r.lag, r.acked, r.down,
		runs[r.run], r.done, r.quiet, r.loud, r.clean, r.ran, r.proven, r.cuts, r.deaths, r.losses)
	for _, n := range slices.Sorted(maps.Keys(r.obs.Hosts)) {
		h := r.obs.Hosts[n]
		fmt.Fprintf(&b, " %s%d", h.Unit.Sub, len(h.Certificates))
	}
	return b.String()
}

// serves reports whether a member does, by what runs and not by what anybody says.
func (r *reality) serves(m string) bool { return r.leader != "" && r.up(m) }

func (r *reality) up(m string) bool {
	u := r.obs.Hosts[m].Unit
	return u.Running() && !u.Looping()
}

// start is a host starting its unit with what lies on its disk.
func (r *reality) start(m string) {
	h, l := r.obs.Hosts[m], plan.LayoutOf(r.spec, r.spec.Member(m))
	delete(r.down, m)
	_, data := r.lag[m]
	content := string(h.Files[l.EtcdYAML].Content)
	_, lists := h.Files[l.Bootstrap]
	// etcd's own check (membership.IsMemberBootstrapped): a peer that serves lists it with client URLs.
	began := r.leader != "" && slices.ContainsFunc(r.voters, func(v kvserver.Member) bool { return v.Name == m && len(v.ClientURLs) > 0 })
	switch {
	case !h.Unit.Loaded || !h.Files[l.KVServer].Exists:
		return
	case strings.Contains(content, badOption), !data && (!lists || h.Mark != nil), !data && began:
		// It does not read the file; it has served; or its peers say that it has.
		h.Unit = node.UnitState{Loaded: true, Enabled: h.Unit.Enabled, Active: "activating", Sub: "auto-restart", Restarts: 3, Cause: "it does not start"}
	default:
		r.world.run(m)
		if !data {
			r.lag[m] = 2
		}
	}
	r.vote()
}

// badOption in a configuration passes every check and keeps the member from starting.
const badOption = "quota-backend-bytes: 666"

func (r *reality) stop(m string) {
	r.kill(m)
	r.vote()
}

// vote finds a leader if there is a quorum, has clients write as soon as there is one, and
// says what the members would answer.
func (r *reality) vote() {
	var up []string
	for _, m := range r.spec.Members {
		if _, data := r.lag[m.Name]; data && r.up(m.Name) {
			up = append(up, m.Name)
		}
	}
	switch {
	case len(up) <= len(r.spec.Members)/2:
		r.leader = ""
	case !slices.Contains(up, r.leader):
		r.leader = up[0]
		for _, m := range up {
			if r.lag[m] < r.lag[r.leader] {
				r.leader = m
			}
		}
	}
	if r.leader != "" {
		if r.acked && r.lag[r.leader] > 0 { // the newest log of a quorum lacks what was acknowledged
			panic(broken{"I3", "acknowledged writes are gone: " + strings.Join(up, ", ") + " are a quorum without them"})
		}
		r.acked = true
		for m, n := range r.lag {
			r.lag[m] = max(n, 1)
		}
		for _, m := range up {
			r.lag[m] = 0
		}
	}
	r.elect()
	for _, v := range r.voters { // what kvserver inspect reads from the data of who does not run
		h := r.obs.Hosts[v.Name]
		h.Disk = nil
		if n, data := r.lag[v.Name]; data && !h.Unit.Running() {
			h.Disk = &kvserver.Inspection{Member: true, ClusterID: kvserver.ID(7), MemberID: kvserver.ID(v.ID), BootstrapOnly: n == 2, Log: &kvserver.InspectedLog{Term: 2, LastIndex: 5}}
			for _, o := range r.voters {
				h.Disk.Members = append(h.Disk.Members, kvserver.InspectedMember{Name: o.Name, PeerURLs: o.PeerURLs})
			}
		}
	}
	for n, a := range r.obs.Cluster.Answers {
		if a.Status == nil {
			continue
		}
		st := *a.Status
		st.Leader = 0
		for _, v := range r.voters {
			if v.Name == r.leader {
				st.Leader = v.ID
			}
		}
		if r.acked && r.leader != "" {
			st.Revision = 2
		}
		a.Status = &st
		r.obs.Cluster.Answers[n] = a
	}
	if r.noAsk {
		for _, v := range r.voters {
			if u := &r.obs.Hosts[v.Name].Unit; u.Running() {
				u.Active, u.Restarts = "active", 0
				r.obs.Cluster.Answers[v.Name] = plan.Answer{Asked: plan.Answered, Status: &kvserver.Status{ClusterID: 7, MemberID: v.ID, Version: r.version(), Revision: 2}, Members: r.voters}
			}
		}
	}
	if r.noMark {
		for _, h := range r.obs.Hosts {
			h.Mark = nil
		}
		for _, m := range r.spec.Members { // and the file that lets it start as new stays
			l := plan.LayoutOf(r.spec, m)
			r.obs.Hosts[m.Name].Files[l.Bootstrap] = node.FileState{Exists: true, Type: "file", Mode: 0o644, Owner: "root", Group: "root"}
		}
	}
}

// lose is a disk that comes back blank.
func (r *reality) lose(m string) {
	r.kill(m)
	delete(r.lag, m)
	h := r.obs.Hosts[m]
	h.Data = node.DirState{Exists: true, Empty: true}
	r.down[m] = true
	r.vote()
}

// actions are those that a step is made of; each may be the last before a cut.
// One that returns false has failed, and the run ends.
func (r *reality) actions(s plan.Step) []func(*reality) bool {
	var out []func(*reality) bool
	part := func(a plan.Action) {
		one := s
		one.Action = a
		out = append(out, func(r *reality) bool { r.do(one); return true })
	}
	switch a := s.Action.(type) {
	case *plan.Push:
		for i := range a.Binaries {
			b := *a
			b.Binaries = a.Binaries[i : i+1]
			part(&b)
		}
	case *plan.Files:
		for i := range a.Files {
			b := *a
			b.Files, b.Absent, b.Enable, b.Reload = a.Files[i:i+1], nil, false, false
			part(&b)
		}
		b := *a
		b.Files = nil
		part(&b)
	case *plan.Certificates:
		b := *a
		b.Issue = nil
		part(&b)
		for i := range a.Issue {
			b := *a
			b.Issue = a.Issue[i : i+1]
			part(&b)
		}
	case *plan.Start:
		for _, m := range a.Members {
			if m.Restart {
				out = append(out, func(r *reality) bool { return (r.noGate || r.spared(m.Member)) && r.away(m.Member, false) })
			}
		}
		for _, m := range a.Members {
			out = append(out, func(r *reality) bool {
				if !r.up(m.Member) {
					r.start(m.Member)
				}
				return true
			})
		}
		out = append(out, func(r *reality) bool {
			return !slices.ContainsFunc(a.Members, func(m plan.StartMember) bool {
				u := r.obs.Hosts[m.Member].Unit
				return !r.serves(m.Member) || m.ExeDigest != "" && u.ExeDigest != m.ExeDigest || m.ConfigDigest != "" && u.ConfigDigest != m.ConfigDigest
			})
		})
	case *plan.Restart:
		out = append(out,
			// Nobody can see a death between the last look and the stop.
			func(r *reality) bool {
				return (r.noGate || r.serving() == len(r.spec.Members)) && r.away(s.Member, true)
			},
			func(r *reality) bool { r.start(s.Member); return true },
			func(r *reality) bool {
				u := r.obs.Hosts[s.Member].Unit
				return r.serves(s.Member) && u.ExeDigest == a.ExeDigest && u.ConfigDigest == a.ConfigDigest
			})
	case *plan.Record:
		if !r.noRecord {
			part(a)
		} else {
			out = append(out, func(*reality) bool { return true })
		}
	default:
		part(s.Action)
	}
	return out
}

func (r *reality) serving() int {
	n := 0
	for _, m := range r.spec.Members {
		if r.serves(m.Name) {
			n++
		}
	}
	return n
}

// spared is the gate of a start that stops a process first: who serves is touched only while the others are a quorum.
func (r *reality) spared(m string) bool {
	return !r.serves(m) || r.serving()-1 > len(r.spec.Members)/2
}

// away stops a member on purpose. In a roll every voter has to serve before;
// leadership is handed over.
func (r *reality) away(m string, roll bool) bool {
	n, before := len(r.spec.Members), r.serving()
	if r.serves(m) && roll && before < n {
		panic(broken{"I1", fmt.Sprintf("%s is taken away while %d of %d voters serve", m, before, n)})
	}
	if r.leader == m {
		for _, o := range r.spec.Members {
			if o.Name != m && r.serves(o.Name) {
				r.leader = o.Name
			}
		}
	}
	r.stop(m)
	if r.leader == "" && before > n/2 && (n > 2 || !roll) {
		panic(broken{"I1", fmt.Sprintf("stopping %s takes the quorum away", m)})
	}
	return true
}

// novel lists the members that have on disk what is not what they had at
// first, as long as nobody has served with such a thing.
func (c *court) novel(r *reality) []string {
	if r.proven {
		return nil
	}
	var holds []string
	for _, m := range r.spec.Members {
		h, l := r.obs.Hosts[m.Name], plan.LayoutOf(r.spec, m)
		onDisk := kvserver.ConfigDigest(h.Files[l.EtcdYAML].Content, h.Files[l.UnitFile].Content)
		if h.Files[l.KVServer].Digest == c.exe[m.Name] && onDisk == c.config[m.Name] {
			continue
		}
		if r.serves(m.Name) && h.Unit.ExeDigest == h.Files[l.KVServer].Digest && h.Unit.ConfigDigest == onDisk {
			r.proven = true
			return nil
		}
		holds = append(holds, m.Name)
	}
	return holds
}

// court walks a scenario breadth-first until nothing is left to try.
type court struct {
	plans       map[string]*plan.Plan
	runs        map[*plan.Plan]int
	exe, config map[string]string // what lay on the disks at first, by member
	states      int
	ends        map[string]int
	off         string // an invariant that is not looked at
	most        int    // states after which the walk ends; 0: when nothing is left to try
}

// hear walks from a state; the first break is returned with the shortest way to it.
func (c *court) hear(first *reality) (_ *broken, trace string) {
	c.plans, c.runs, c.ends = map[string]*plan.Plan{}, map[*plan.Plan]int{}, map[string]int{}
	c.exe, c.config = map[string]string{}, map[string]string{}
	for _, m := range first.spec.Members {
		h, l := first.obs.Hosts[m.Name], plan.LayoutOf(first.spec, m)
		c.exe[m.Name] = h.Files[l.KVServer].Digest
		c.config[m.Name] = kvserver.ConfigDigest(h.Files[l.EtcdYAML].Content, h.Files[l.UnitFile].Content)
	}
	seen := map[string]bool{first.key(c.runs): true}
	queue := []*reality{first}
	for len(queue) > 0 && (c.most == 0 || c.states < c.most) {
		r := queue[0]
		queue[0], queue = nil, queue[1:]
		c.states++
		for _, next := range c.moves(r) {
			n, b := c.make(r, next)
			if b != nil {
				return b, n.trace.String()
			}
			if n == nil {
				continue
			}
			if k := n.key(c.runs); !seen[k] {
				seen[k] = true
				queue = append(queue, n)
			}
		}
	}
	return nil, ""
}

type move struct {
	what string
	do   func(r *reality)
}

// make makes a move; breaks that are not looked at end the way silently.
func (c *court) make(r *reality, m move) (n *reality, b *broken) {
	n = r.clone(m.what)
	defer func() {
		if p := recover(); p != nil {
			found, ok := p.(broken)
			if !ok {
				panic(fmt.Sprintf("%v\n%s", p, n.trace))
			}
			if found.invariant == c.off {
				n = nil
				return
			}
			b = &found
		}
	}()
	m.do(n)
	// A quorum that comes back under a run that was planned without one finds what that run puts there.
	// A member that is down is repaired with what is new: it takes nobody's quorum away.
	holds, held := c.novel(n), c.novel(r)
	risked := slices.ContainsFunc(holds, func(m string) bool { return !slices.Contains(held, m) && r.serves(m) })
	if n.ran && n.leader != "" && len(holds) > 1 && risked {
		panic(broken{"I9", strings.Join(holds, ", ") + " have on disk what nobody serves with"})
	}
	return n, nil
}

// moves are all that can happen next.
func (c *court) moves(r *reality) []move {
	var out []move
	if r.run == nil {
		out = append(out, move{"plan", c.plan})
	} else {
		out = append(out, c.steps(r)...)
		if r.cuts > 0 {
			out = append(out, move{"cut", func(r *reality) { r.cuts--; r.over(false) }})
		}
	}
	for _, m := range r.spec.Members {
		if r.deaths > 0 && r.obs.Hosts[m.Name].Unit.Running() {
			out = append(out, move{m.Name + " dies", func(r *reality) {
				r.deaths, r.clean, r.down[m.Name] = r.deaths-1, false, true
				r.stop(m.Name)
			}})
		}
		if _, data := r.lag[m.Name]; r.losses > 0 && data {
			out = append(out, move{m.Name + " loses its disk", func(r *reality) {
				r.losses, r.clean = r.losses-1, false
				r.lose(m.Name)
			}})
		}
		if r.down[m.Name] && r.obs.Hosts[m.Name].Unit.Enabled {
			out = append(out, move{m.Name + " boots", func(r *reality) { r.clean = false; r.start(m.Name) }})
		}
	}
	return out
}

// over ends a run.
func (r *reality) over(clean bool) {
	r.run, r.done, r.quiet, r.loud, r.clean, r.ran = nil, 0, place{}, place{}, clean, false
}

// plan looks and plans. What is planned after a run without a fault must be nothing.
func (c *court) plan(r *reality) {
	k := plan.FactsDigest(r.obs.Facts()) + r.leader
	p := c.plans[k]
	if p == nil {
		var err error
		if p, err = plan.Build(r.spec, r.obs, options()); err != nil {
			panic(err)
		}
		c.plans[k], c.runs[p] = p, len(c.runs)+1
	}
	switch {
	case p.Blocked() || p.Empty():
		c.end(r, p)
	case r.clean:
		panic(broken{"I6", fmt.Sprintf("a run without a fault left %s to do", p.Steps[0].ID)})
	}
	if !p.Blocked() && !p.Empty() {
		r.run, r.clean, r.ran = p, len(p.Held) == 0, r.leader != ""
	}
}

// end judges where nothing can be done any more.
func (c *court) end(r *reality, p *plan.Plan) {
	c.ends[strings.Join(reasonsOf(p), ", ")]++
	if len(p.Held) == 0 {
		for _, m := range r.spec.Members {
			if !r.serves(m.Name) {
				panic(broken{"I10", "no changes, and " + m.Name + " does not serve"})
			}
		}
		return
	}
	lost := false
	for _, m := range r.spec.Members {
		if _, data := r.lag[m.Name]; !data && r.acked {
			lost = true
		}
	}
	if !lost && !strings.Contains(string(r.obs.Hosts[r.spec.Members[0].Name].Unit.Cause)+r.causes(), "it does not start") {
		panic(broken{"I6", fmt.Sprintf("nothing is lost, and the way is held: %s", strings.Join(reasonsOf(p), ", "))})
	}
}

func (r *reality) causes() string {
	var b strings.Builder
	for _, h := range r.obs.Hosts {
		b.WriteString(h.Unit.Cause)
	}
	return b.String()
}

func reasonsOf(p *plan.Plan) []string {
	var out []string
	for _, h := range p.Held {
		out = append(out, string(h.Reason))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// steps are the actions that the graph allows now. Those of quiet steps change
// nothing that another quiet step sees, so they are taken in one order; the
// exclusive ones in every order, beside them.
func (c *court) steps(r *reality) []move {
	var out []move
	ready := func(i int) bool {
		if r.done&(1<<i) != 0 || r.quiet.step == i+1 || r.loud.step == i+1 {
			return false
		}
		return r.noNeeds || !slices.ContainsFunc(r.run.Steps[i].Needs, func(n string) bool {
			j := slices.IndexFunc(r.run.Steps, func(s plan.Step) bool { return s.ID == n })
			return r.done&(1<<j) == 0
		})
	}
	go1 := func(i int, exclusive bool) {
		s := r.run.Steps[i]
		at := r.quiet.at
		if exclusive {
			at = r.loud.at
		}
		if p := map[bool]place{false: r.quiet, true: r.loud}[exclusive]; p.step == 0 {
			at = 0
		}
		actions := r.actions(s)
		out = append(out, move{fmt.Sprintf("%s %d/%d", s.ID, at+1, len(actions)), func(r *reality) {
			if !actions[at](r) && !r.noLook {
				r.over(false)
				return
			}
			now := place{i + 1, at + 1}
			if at+1 == len(actions) {
				r.done |= 1 << i
				now = place{}
			}
			if exclusive {
				r.loud = now
			} else {
				r.quiet = now
			}
		}})
	}
	if r.quiet.step > 0 {
		go1(r.quiet.step-1, false)
	} else {
		for i, s := range r.run.Steps {
			if !s.Action.Exclusive() && ready(i) {
				go1(i, false)
				break
			}
		}
	}
	if r.loud.step > 0 {
		go1(r.loud.step-1, true)
	}
	if r.loud.step == 0 {
		for i, s := range r.run.Steps {
			if s.Action.Exclusive() && ready(i) {
				go1(i, true)
			}
		}
	}
	if len(out) == 0 {
		out = append(out, move{"done", func(r *reality) { r.over(r.clean) }})
	}
	return out
}

// scenario is where a walk begins.
type scenario struct {
	name    string
	quick   int // the largest cluster of an ordinary test
	soak    int
	prepare func(t fataler, r *reality)
}

var scenarios = []scenario{
	{"bootstrap", 1, 2, func(fataler, *reality) {}},
	{"roll", 2, 3, func(t fataler, r *reality) { r.settled(t); respecQuota(r.spec, 1<<30) }},
	{"roll of a bad setting", 1, 3, func(t fataler, r *reality) { r.settled(t); respecQuota(r.spec, 666) }},
	{"cold start", 2, 4, func(t fataler, r *reality) {
		r.settled(t)
		for _, m := range r.spec.Members {
			r.stop(m.Name)
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
		r.leader = r.spec.Members[leader].Name
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

// TestJudgeCatches switches the rules off one at a time that hosts, executors
// and the scheduler follow: the judge finds what each of them prevents, by the
// invariant named, and prints the shortest way there. With that invariant not looked at, it does not.
func TestJudgeCatches(t *testing.T) {
	t.Parallel()
	of := map[string]scenario{}
	for _, s := range scenarios {
		of[s.name] = s
	}
	for name, m := range map[string]struct {
		off       rules
		in        string
		members   int
		invariant string
		cuts      int // that may come, beside one death; 1 has one lost disk with it
	}{
		"a host that forgets that its member has served": {rules{noMark: true}, "cold start", 3, "I3", 1},
		"a restart that does not look at the others":     {rules{noGate: true}, "roll", 3, "I1", 0},
		"a scheduler that waits for no step":             {rules{noNeeds: true}, "roll", 2, "I9", 1},
		"an executor that does not look what came of it": {rules{noLook: true}, "roll of a bad setting", 3, "I9", 0},
		"a look that takes a process for a member":       {rules{noAsk: true}, "roll of a bad setting", 1, "I10", 1},
		"a run that notes nothing down":                  {rules{noRecord: true}, "roll", 1, "I6", 1},
	} {
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
