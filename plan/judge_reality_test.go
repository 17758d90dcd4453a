package plan_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
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
	had    map[string]string // what lay on the disks when the walk began; like the others by peer URL
	lag    map[string]int    // those with data: 0 has everything that was acknowledged, 1 lacks some of it, 2 never had a leader
	acked  bool              // something has been acknowledged
	proven bool              // somebody has served with what is new
	leader string            // "" while there is none
	down   map[string]bool   // by a fault; they may boot again
	first  uint64            // the last id of those that formed the cluster
	still  bool              // the spec changes nothing that members run with
	coarse bool              // a step that only stages is one action: the parts of it are walked where there are fewer members
	stuck  bool              // something that nobody cures keeps the plan from an end

	run   *plan.Plan // what is being applied; nil: nobody applies
	done  uint64     // its steps, by their place
	quiet place      // the step in progress that touches no voter
	loud  place      // the exclusive step in progress
	ran   bool       // a quorum served when it was planned
	led   string     // who led then, unless its host had what it is restarted for already
	clean bool       // nothing has gone wrong since this run began, and nothing was held
	calm  bool       // nothing has gone wrong since this run began
	began int        // the tolerance at its beginning
	had0  int        // the voters at its beginning
	round int        // plans made since something went wrong

	cuts, deaths, losses int // faults that may still come
	others               int // changes of the members by somebody else that may still come
	trace                *link
}

// rules that planner, hosts, executors and the scheduler follow; a mutation switches one off.
type rules struct {
	without  string // one of the planner's own, see plan.Guards
	noMark   bool   // a host forgets that its member has served
	noWhole  bool   // a host starts a member that has served with its log alone
	noGate   bool   // a step that takes a member away does not look at the others first
	noNeeds  bool   // the scheduler does not wait for what a step needs
	noLook   bool   // a step is done whatever came of it
	noAsk    bool   // who has a process is taken for a member that serves
	noRecord bool   // what was done is not noted down

	noCatchUp bool // a learner is promoted as it is
	noExpect  bool // a change of the members does not look whether they are those that it was planned for
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
	copied := func(h *plan.Host) *plan.Host {
		k := *h
		k.Files, k.Certificates = maps.Clone(h.Files), maps.Clone(h.Certificates)
		if h.Former != nil {
			f := *h.Former
			f.Moves = slices.Clone(f.Moves)
			k.Former = &f
		}
		return &k
	}
	o.Hosts, w.outside, w.unseen = make(map[string]*plan.Host, len(r.obs.Hosts)), make([]*outsider, len(r.outside)), make(map[string]*plan.Host, len(r.unseen))
	for n, h := range r.obs.Hosts {
		o.Hosts[n] = copied(h)
	}
	for i, s := range r.outside {
		w.outside[i] = &outsider{s.member, copied(s.host), s.called}
	}
	for u, h := range r.unseen {
		w.unseen[u] = copied(h)
	}
	o.Clients = maps.Clone(r.obs.Clients)
	w.obs, w.list, w.ids, w.told = &o, slices.Clone(r.list), maps.Clone(r.ids), maps.Clone(r.told)
	c.world, c.lag, c.down = &w, maps.Clone(r.lag), maps.Clone(r.down)
	c.meet()
	c.trace = &link{r.trace, what}
	return &c
}

// meet has what is seen of hosts outside of the spec be of the hosts that are.
func (r *reality) meet() {
	again := func(s plan.Stranger) plan.Stranger {
		if s.Member != nil {
			if at, known := r.at([]string{urlOf(s.Member)}); known {
				s.Host = at.seen
			}
		}
		return s
	}
	strangers, left := r.obs.Cluster.Strangers, r.obs.Left
	r.obs.Cluster.Strangers, r.obs.Left = maps.Clone(strangers), maps.Clone(left)
	for id, s := range strangers {
		r.obs.Cluster.Strangers[id] = again(s)
	}
	for id, s := range left {
		r.obs.Left[id] = again(s)
	}
}

// share keeps of a state what it has in common with the one before it, which is most; a clone copies what it changes.
func (r *reality) share(before *reality) {
	same := func(is, was *plan.Host) *plan.Host {
		if was != nil && reflect.DeepEqual(is, was) {
			return was
		}
		return is
	}
	for n, h := range r.obs.Hosts {
		r.obs.Hosts[n] = same(h, before.obs.Hosts[n])
	}
	for i, s := range r.outside {
		if i < len(before.outside) {
			s.host = same(s.host, before.outside[i].host)
		}
	}
	for u, h := range r.unseen {
		r.unseen[u] = same(h, before.unseen[u])
	}
	if reflect.DeepEqual(r.obs.Cluster.Answers, before.obs.Cluster.Answers) {
		r.obs.Cluster.Answers = before.obs.Cluster.Answers
	}
	r.meet()
}

// sight is a digest of what a look sees. plan.FactsDigest is of the same facts, readable, and takes three times as long.
func (r *reality) sight() string {
	var b []byte
	for _, f := range r.obs.Facts() {
		b = append(append(append(append(b, f.Key...), 0), f.Value...), 0)
	}
	sum := sha256.Sum256(b)
	return string(sum[:])
}

// key tells states apart. What a look sees is in it, so states with one key are planned alike.
func (r *reality) key(runs map[*plan.Plan]int) [sha256.Size]byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %v %t %v %d %x %v %v %t %t %t %d%d%d", r.sight(), r.leader, r.lag, r.acked, r.down,
		runs[r.run], r.done, r.quiet, r.loud, r.clean, r.ran, r.proven, r.cuts, r.deaths, r.losses)
	fmt.Fprintf(&b, " %t%d%d%d%d", r.calm, r.began, r.had0, r.round, r.others)
	for _, s := range r.seats() {
		fmt.Fprintf(&b, " %x %s%d", r.ids[s.url], s.host.Unit.Sub, len(s.host.Certificates))
		if s.host != s.seen || !slices.ContainsFunc(r.list, func(m kvserver.Member) bool { return m.ID == r.ids[s.url] }) {
			fmt.Fprintf(&b, "%t%t%s", s.host.Unit.Enabled, s.host.Data.Member, s.host.Unit.Active)
		}
	}
	return sha256.Sum256([]byte(b.String()))
}

// serves reports whether a member does, by what runs and not by what anybody says.
func (r *reality) serves(s seat) bool { return r.leader != "" && r.up(s) }

// up reports whether the process of a member that the cluster lists runs.
func (r *reality) up(s seat) bool {
	_, listed := r.listed(s)
	return listed && s.host.Unit.Running() && !s.host.Unit.Looping()
}

// name of a seat in a trace.
func (r *reality) name(s seat) string {
	if r.spec.Member(s.member.Name) == nil || urlOf(r.spec.Member(s.member.Name)) == s.url {
		return s.member.Name
	}
	return s.member.Name + "@" + s.member.Address
}

// start is a host starting its unit with what lies on its disk.
func (r *reality) start(s seat) {
	h, l := s.host, plan.LayoutOf(r.spec, s.member)
	delete(r.down, s.url)
	_, data := r.lag[s.url]
	content := string(h.Files[l.EtcdYAML].Content)
	file, lists := h.Files[l.Bootstrap]
	_, existing := initial(file.Content)
	// etcd's own check (membership.IsMemberBootstrapped): a peer that serves lists it with client URLs.
	in := slices.IndexFunc(r.list, func(m kvserver.Member) bool { return slices.Contains(m.PeerURLs, s.url) })
	began := r.leader != "" && in >= 0 && len(r.list[in].ClientURLs) > 0
	marked := h.Mark != nil && (!existing || slices.ContainsFunc(r.list, func(m kvserver.Member) bool { return kvserver.ID(m.ID) == h.Mark.MemberID }))
	alone := !slices.ContainsFunc(r.seats(), func(o seat) bool { return o.url != s.url && r.up(o) })
	switch {
	case !h.Unit.Loaded || !h.Files[l.KVServer].Exists:
		return
	case data && astray(h, l):
		if log := h.Former.Moves[0]; r.noWhole && log.There { // etcd makes an empty database beside the log
			for i := range h.Former.Moves {
				h.Former.Moves[i].There = true
			}
		}
		h.Unit = refused(h.Unit, "it has served, and its data is not where its configuration says")
	case strings.Contains(content, badOption):
		h.Unit = refused(h.Unit, badCause)
	case !data && (!lists || marked), !data && began:
		h.Unit = refused(h.Unit, "it, or its peers, know that it has served, and its disk is blank")
	case !data && existing && alone:
		h.Unit = refused(h.Unit, "cannot fetch cluster info from peer urls")
	case !data && !existing && in >= 0 && r.list[in].ID > r.first:
		panic(broken{"I3", r.name(s) + " joins, and starts a cluster of its own"})
	default:
		if err := r.launch(s); err != nil {
			h.Unit = refused(h.Unit, err.Error())
			break
		}
		if r.first == 0 {
			r.first = r.born
		}
		if !data {
			r.lag[s.url] = 2
			if existing {
				r.lag[s.url] = 1
			}
		}
	}
	r.vote()
}

// astray reports whether a member's configuration names other folders than those that its data is in, all of it.
func astray(h *plan.Host, l plan.Layout) bool {
	if h.Former == nil {
		return false
	}
	content := string(h.Files[l.EtcdYAML].Content)
	names := func(key, value string) bool {
		return strings.Contains(content, "\n"+key+": "+value+"\n") || value == "" && !strings.Contains(content, "\n"+key+":")
	}
	wal := l.WAL
	if wal != "" {
		wal += "/wal"
	}
	if names("data-dir", l.Data) && names("wal-dir", wal) {
		return slices.ContainsFunc(h.Former.Moves, func(m plan.SeenMove) bool { return !m.There })
	}
	return slices.ContainsFunc(h.Former.Moves, func(m plan.SeenMove) bool { return !m.Here })
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

func (r *reality) stop(s seat) {
	halt(s.host)
	r.vote()
}

// count is how many voters serve, and how many there are.
func (r *reality) count() (up, total int) {
	voters, total := r.voting(r.running())
	if r.leader == "" {
		return 0, total
	}
	return len(voters), total
}

// tolerance is how many more voters may go before writes stop; -1 where they have.
func (r *reality) tolerance() int {
	up, total := r.count()
	if up <= total/2 {
		return -1
	}
	return up - total/2 - 1
}

// vote finds a leader if there is a quorum, has clients write as soon as there is one, and
// says what the members would answer. Learners get what is written, and are behind until they have caught up once.
func (r *reality) vote() {
	up, total := r.voting(r.running())
	if hidden := slices.DeleteFunc(slices.Clone(up), func(s seat) bool { return !r.hidden(s) }); len(hidden) > 1 {
		panic(broken{"I1", fmt.Sprintf("%s and %s listen where their peers do not look for them", r.name(hidden[0]), r.name(hidden[1]))})
	}
	led := slices.ContainsFunc(up, func(s seat) bool { return s.url == r.leader })
	switch {
	case len(up) <= total/2:
		r.leader = ""
	case !led:
		r.leader = up[0].url
		for _, s := range up {
			if r.lag[s.url] < r.lag[r.leader] {
				r.leader = s.url
			}
		}
	}
	if r.leader != "" {
		if r.acked && r.lag[r.leader] > 0 { // the newest log of a quorum lacks what was acknowledged
			panic(broken{"I3", "acknowledged writes are gone: a quorum runs without them"})
		}
		r.acked = true
		for _, s := range r.seats() {
			n, data := r.lag[s.url]
			m, listed := r.listed(s)
			switch {
			case !data:
			case listed && r.up(s) && (!m.Learner || n == 0):
				r.lag[s.url] = 0
			default:
				r.lag[s.url] = max(n, 1)
			}
		}
	}
	r.elect()
	for _, s := range r.seats() { // what kvserver inspect reads from the data of who does not run
		s.host.Disk = nil
		if n, data := r.lag[s.url]; data && !s.host.Unit.Running() && s.seen.Problem == "" {
			s.host.Disk = &kvserver.Inspection{Member: true, ClusterID: kvserver.ID(7), MemberID: kvserver.ID(r.ids[s.url]), BootstrapOnly: n == 2, Log: &kvserver.InspectedLog{Term: 2, LastIndex: 5}}
			for _, o := range r.list {
				s.host.Disk.Members = append(s.host.Disk.Members, kvserver.InspectedMember{ID: kvserver.ID(o.ID), Name: o.Name, PeerURLs: o.PeerURLs, Learner: o.Learner})
			}
		}
	}
	for n, a := range r.obs.Cluster.Answers {
		r.obs.Cluster.Answers[n] = r.knows(a)
	}
	for id, s := range r.obs.Cluster.Strangers {
		s.Answer = r.knows(s.Answer)
		r.obs.Cluster.Strangers[id] = s
	}
	if r.noAsk {
		for _, m := range r.spec.Members {
			if u := &r.obs.Hosts[m.Name].Unit; u.Running() {
				u.Active, u.Restarts = "active", 0
				r.obs.Cluster.Answers[m.Name] = plan.Answer{Asked: plan.Answered, Status: &kvserver.Status{ClusterID: 7, MemberID: r.ids[urlOf(m)], Version: r.version(), Revision: 2}, Members: r.list}
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

// knows is an answer that knows who leads, and what has been written.
func (r *reality) knows(a plan.Answer) plan.Answer {
	if a.Status == nil {
		return a
	}
	st := *a.Status
	st.Leader = r.ids[r.leader]
	if r.acked && r.leader != "" {
		st.Revision = 2
	}
	a.Status = &st
	return a
}

// lose is a disk that comes back blank.
func (r *reality) lose(s seat) {
	halt(s.host)
	delete(r.lag, s.url)
	delete(r.ids, s.url)
	s.host.Data = node.DirState{Exists: true, Empty: true, Aside: s.host.Data.Aside}
	if s.host.WAL.Exists || s.host.WAL.Member {
		s.host.WAL = node.DirState{Exists: true, Empty: true}
	}
	if f := s.host.Former; f != nil {
		for i, m := range f.Moves {
			f.Moves[i] = plan.SeenMove{TreeMove: m.TreeMove}
		}
	}
	r.down[s.url] = true
	r.vote()
}

// runs is what a member's process runs with, disk what it would start with.
func (r *reality) runs(s seat) string { return s.host.Unit.ExeDigest + s.host.Unit.ConfigDigest }

func (r *reality) disk(s seat) string {
	h, l := s.host, plan.LayoutOf(r.spec, s.member)
	return h.Files[l.KVServer].Digest + kvserver.ConfigDigest(h.Files[l.EtcdYAML].Content, h.Files[l.UnitFile].Content)
}
