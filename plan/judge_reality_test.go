package plan_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan"
)

// reality is what is so, whatever the plan says: what lies on the disks, who
// runs with what, what has been acknowledged. The judge walks through it action
// by action, each smaller than a step, with faults in between.
type reality struct {
	*world
	rules
	had    map[string]string // what lay on the disks when the walk began, by member
	lag    map[string]int    // members with data: 0 has everything that was acknowledged, 1 lacks some of it, 2 never had a leader
	acked  bool              // something has been acknowledged
	proven bool              // somebody has served with what is new
	leader string            // "" while there is none
	down   map[string]bool   // by a fault; they may boot again

	run   *plan.Plan // what is being applied; nil: nobody applies
	done  uint64     // its steps, by their place
	quiet place      // the step in progress that touches no voter
	loud  place      // the exclusive step in progress
	ran   bool       // a quorum served when it was planned
	led   string     // who led then, unless its host had what it is restarted for already
	clean bool       // nothing has gone wrong since this run began

	cuts, deaths, losses int // faults that may still come
	trace                *link
}

// rules that planner, hosts, executors and the scheduler follow; a mutation switches one off.
type rules struct {
	without  string // one of the planner's own, see plan.Guards
	noMark   bool   // a host forgets that its member has served
	noGate   bool   // a step that takes a member away does not look at the others first
	noNeeds  bool   // the scheduler does not wait for what a step needs
	noLook   bool   // a step is done whatever came of it
	noAsk    bool   // who has a process is taken for a member that serves
	noRecord bool   // what was done is not noted down
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
	case strings.Contains(content, badOption):
		h.Unit = refused(h.Unit, badCause)
	case !data && (!lists || h.Mark != nil), !data && began:
		h.Unit = refused(h.Unit, "it, or its peers, know that it has served, and its disk is blank")
	default:
		r.world.run(m)
		if !data {
			r.lag[m] = 2
		}
	}
	r.vote()
}

// badOption in a configuration passes every check and keeps the member from starting.
const (
	badOption = "quota-backend-bytes: 666"
	badCause  = "that is no quota"
)

// refused is a unit whose process ends at each start.
func refused(u node.UnitState, cause string) node.UnitState {
	return node.UnitState{Loaded: true, Enabled: u.Enabled, Active: "activating", Sub: "auto-restart", Restarts: 3, Cause: cause}
}

// bad reports whether a member does not start with what the spec has.
func (r *reality) bad() bool {
	for _, h := range r.obs.Hosts {
		if h.Unit.Cause == badCause {
			return true
		}
	}
	return false
}

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

// runs is what a member's process runs with, disk what it would start with.
func (r *reality) runs(m string) string {
	u := r.obs.Hosts[m].Unit
	return u.ExeDigest + u.ConfigDigest
}

func (r *reality) disk(m string) string {
	h, l := r.obs.Hosts[m], plan.LayoutOf(r.spec, r.spec.Member(m))
	return h.Files[l.KVServer].Digest + kvserver.ConfigDigest(h.Files[l.EtcdYAML].Content, h.Files[l.UnitFile].Content)
}

// handOver gives leadership from a member to another, as etcd does it and refuses it.
func (r *reality) handOver(from string, to uint64) error {
	if r.leader != from {
		return errors.New("etcdserver: not leader")
	}
	for _, v := range r.voters {
		if v.ID == to && r.serves(v.Name) {
			r.leader = v.Name
			return nil
		}
	}
	return errors.New("etcdserver: bad leader transferee")
}

// away stops a member on purpose. In a roll every voter has to serve before;
// leadership is handed over.
func (r *reality) away(m string, roll bool) bool {
	n, before := len(r.spec.Members), r.serving()
	if r.serves(m) && roll && before < n {
		panic(broken{"I1", fmt.Sprintf("%s is taken away while %d of %d voters serve", m, before, n)})
	}
	if roll && r.clean && r.leader == m && r.led == m {
		for _, o := range r.spec.Members {
			if o.Name != m && (r.disk(o.Name) == r.had[o.Name] || r.runs(o.Name) != r.disk(o.Name)) {
				panic(broken{"I4", fmt.Sprintf("%s leads and is restarted before %s", m, o.Name)})
			}
		}
	}
	for _, v := range slices.Backward(r.voters) {
		if v.Name != m && r.leader == m {
			_ = r.handOver(m, v.ID) // to who is down it does not go
		}
	}
	r.stop(m)
	if r.leader == "" && before > n/2 && (n > 2 || !roll) {
		panic(broken{"I1", fmt.Sprintf("stopping %s takes the quorum away", m)})
	}
	return true
}
