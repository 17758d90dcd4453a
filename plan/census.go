package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan/spec"
)

// Census says who is who: what the members that answered agree on, joined with
// the spec and the hosts by member id, then peer URL; by name only where the host could not be looked at. It does not
// depend on who answered first.
type Census struct {
	// ClusterID that every answer gives; 0 if none was given, or they disagree.
	ClusterID uint64
	// Membership as a quorum lists it; without a list, the spec's members, none with an id.
	Membership Membership
	// Known: Membership is a list that somebody gave by a linearizable read.
	Known bool
	// Leader is the id that the healthy members name, 0 if none is known.
	Leader uint64
	// Conflicts are answers that cannot all be true of one cluster, see [Conflict].
	Conflicts []Conflict
}

// Conflict is something that must not be interpreted.
type Conflict struct {
	Reason  Reason
	Subject string // a member, or the cluster
	Detail  string
}

// TakeCensus joins the answers.
func TakeCensus(c *spec.Cluster, o *Observed) Census {
	out := Census{}
	o = o.current()
	out.clusterOf(c, o)
	out.removed(c, o)
	list := out.listOf(c, o)
	if list == nil || out.ClusterID == 0 {
		out.Membership = presumed(c, o)
		return out
	}
	out.Known = true
	out.join(c, o, list)
	for _, n := range sortedKeys(o.Cluster.Answers) {
		if a := o.Cluster.Answers[n]; out.Leader == 0 && a.Status != nil && a.Asked == Answered && a.Status.ClusterID == out.ClusterID {
			out.Leader = a.Status.Leader
		}
	}
	return out
}

// clusterOf finds the cluster id that the answers agree on.
func (s *Census) clusterOf(c *spec.Cluster, o *Observed) {
	by := map[uint64][]string{}
	for _, n := range sortedKeys(o.Cluster.Answers) {
		if st := o.Cluster.Answers[n].Status; st != nil {
			by[st.ClusterID] = append(by[st.ClusterID], n)
		}
	}
	if len(by) == 1 {
		s.ClusterID = sortedKeys(by)[0]
	}
	if len(by) > 1 {
		s.conflict(OtherCluster, c.Name, "the members serve different clusters: %s", groups(by, kvserver.ID, "; "))
	}
	s.disks(c, o)
	for _, m := range c.Members {
		man, st := o.Hosts[m.Name].manifest(), o.Cluster.Answers[m.Name].Status
		if man == nil || st == nil || man.ClusterID == "" || man.Cluster != c.Name {
			continue
		}
		if want := fmt.Sprintf("%x", st.ClusterID); man.ClusterID != want && len(by) == 1 {
			s.conflict(OtherCluster, m.Name, "it serves cluster %s, and what was recorded on its host is of cluster %s", want, man.ClusterID)
		}
	}
}

// disks compares the data of members that do not run with the cluster that is
// served; where none is, the disks with one another. Data that nobody can have
// acknowledged anything from belongs to no cluster yet.
func (s *Census) disks(c *spec.Cluster, o *Observed) {
	by := map[string][]string{}
	for _, m := range c.Members {
		d := o.Hosts[m.Name].disk()
		if d == nil || d.ClusterID == "" || d.BootstrapOnly {
			continue
		}
		by[d.ClusterID] = append(by[d.ClusterID], m.Name)
		if s.ClusterID != 0 && d.ClusterID != kvserver.ID(s.ClusterID) {
			s.conflict(OtherCluster, m.Name, "its data is of cluster %s, and the members serve cluster %x", d.ClusterID, s.ClusterID)
		}
	}
	if s.ClusterID != 0 || len(by) < 2 {
		return
	}
	s.conflict(OtherCluster, c.Name, "the hosts hold the data of different clusters: %s", groups(by, asItIs, "; "))
}

// disk is what was read from a host's data, nil if nothing was or there is no member.
func (h *Host) disk() *kvserver.Inspection {
	if h == nil || h.Disk == nil || !h.Disk.Member {
		return nil
	}
	return h.Disk
}

func asItIs(s string) string { return s }

// listOf is the member list: the one that most answers give, the first of them
// by its text where two are as many. Lists that differ are a conflict.
func (s *Census) listOf(c *spec.Cluster, o *Observed) []kvserver.Member {
	by := map[string][]string{}
	lists := map[string][]kvserver.Member{}
	for _, n := range sortedKeys(o.Cluster.Answers) {
		if a := o.Cluster.Answers[n]; a.Members != nil {
			l := listing(a.Members)
			by[l], lists[l] = append(by[l], n), a.Members
		}
	}
	best := ""
	for _, l := range sortedKeys(by) {
		if best == "" || len(by[l]) > len(by[best]) {
			best = l
		}
	}
	if len(by) > 1 && s.ClusterID != 0 {
		s.conflict(ListsDiffer, c.Name, "the members give different member lists: %s", groups(by, asItIs, " | "))
	}
	return lists[best]
}

// join finds for each listed member what the spec calls it, and how it is.
func (s *Census) join(c *spec.Cluster, o *Observed, list []kvserver.Member) {
	taken := map[string]bool{} // names of the spec that have found their member
	names := make([]string, len(list))
	find := func(match func(kvserver.Member, *spec.Member) bool) {
		for i, in := range list {
			for _, m := range c.Members {
				if names[i] == "" && !taken[m.Name] && match(in, m) {
					names[i], taken[m.Name] = m.Name, true
				}
			}
		}
	}
	find(func(in kvserver.Member, m *spec.Member) bool { return in.ID == o.idOf(c, m) })
	find(func(in kvserver.Member, m *spec.Member) bool {
		return slices.Contains(canonicalURLs(in.PeerURLs), peerURL(m))
	})
	byOther := slices.Clone(names)
	// A name alone says little: a host that was seen, and holds nothing of that member, is another one, and
	// the member of that name is to move there.
	find(func(in kvserver.Member, m *spec.Member) bool {
		return in.Name == m.Name && o.Hosts[m.Name] != nil && o.Hosts[m.Name].Problem != ""
	})
	outside := outsideNames(c, list, names)
	certain := map[string]bool{} // found by more than the name
	for _, n := range byOther {
		certain[n] = n != ""
	}

	var members []Listed
	byName := map[string][]string{}
	for i, in := range list {
		l := Listed{ID: in.ID, Name: in.Name, PeerURLs: in.PeerURLs, ClientURLs: in.ClientURLs, Learner: in.Learner, Started: len(in.ClientURLs) > 0, Spec: names[i], Outside: outside[in.ID]}
		a := o.Cluster.Strangers[in.ID].Answer
		if l.Spec != "" {
			a = o.Cluster.Answers[l.Spec]
		}
		l.Health = a.health()
		if !l.Started && a.Asked == NotAsked {
			l.Health = Down // it has never served: nobody needs to ask
		}
		if a.Status != nil && a.Status.MemberID != in.ID {
			l.Health = HealthUnknown // who answers there is somebody else
		}
		if in.Name != "" {
			byName[in.Name] = append(byName[in.Name], fmt.Sprintf("%x", in.ID))
		}
		members = append(members, l)
		s.impostor(c, o, list, l)
	}
	for _, n := range sortedKeys(byName) {
		if ids := byName[n]; len(ids) > 1 && taken[n] && !certain[n] {
			slices.Sort(ids)
			s.conflict(SameName, n, "the cluster lists %d members of this name, with the ids %s", len(ids), strings.Join(ids, ", "))
		}
	}
	var err error
	if s.Membership, err = NewMembership(members...); err != nil {
		s.conflict(ListsDiffer, c.Name, "the member list cannot be right: %v", err)
	}
}

// outsideNames gives each listed member that the spec does not have a name by which its host is known here: etcd's
// own, if nobody else has it; the host of its peer URL beside it where the spec has another member of that
// name; else its id.
func outsideNames(c *spec.Cluster, list []kvserver.Member, names []string) map[uint64]string {
	out := map[uint64]string{}
	taken := map[string]bool{}
	for _, m := range c.Members {
		taken[m.Name] = true
	}
	for i, in := range list {
		if names[i] != "" {
			continue
		}
		name := kvserver.ID(in.ID)
		for _, candidate := range []string{in.Name, in.Name + "@" + hostOf(in.PeerURLs)} {
			if in.Name != "" && !taken[candidate] {
				name = candidate
				break
			}
		}
		taken[name], out[in.ID] = true, name
	}
	return out
}

func hostOf(urls []string) string {
	host, _ := node.HostPortOf(urls)
	return host
}

// removed finds members whose id another disk knows as removed: they cannot
// come back, also while nobody serves who could say so.
func (s *Census) removed(c *spec.Cluster, o *Observed) {
	for _, m := range c.Members {
		mine := o.Hosts[m.Name].disk()
		for _, other := range c.Members {
			d := o.Hosts[other.Name].disk()
			if mine != nil && d != nil && d.ClusterID == mine.ClusterID && slices.Contains(d.Removed, mine.MemberID) && s.ClusterID == 0 {
				s.conflict(RemovedMember, m.Name, "its host holds the member %s, which %s knows as removed: it cannot come back with this data", mine.MemberID, other.Name)
				break
			}
		}
	}
}

// impostor is a conflict where the name that etcd lists, the spec's name and the id do not go together. A member
// whose data is on its host is the same one under another name, if nobody else has that.
func (s *Census) impostor(c *spec.Cluster, o *Observed, list []kvserver.Member, l Listed) {
	if l.Spec == "" || l.Name == "" || l.Name == l.Spec {
		return
	}
	if m := c.Member(l.Spec); o.idOf(c, m) != l.ID && !slices.Contains(l.PeerURLs, peerURL(m)) {
		return
	}
	if c.Member(l.Name) != nil {
		s.conflict(IDMismatch, l.Spec, "the member %x on its host is listed under the name %q, which is another member of the spec", l.ID, l.Name)
		return
	}
	h := o.Hosts[l.Spec]
	if h == nil || h.Problem != "" {
		return // who cannot be looked at is not renamed either
	}
	says := fmt.Sprintf("the member %x on its host is listed under the name %q", l.ID, l.Name)
	switch other := o.namesake(c, list, l); {
	case other != "":
		s.conflict(Renamed, l.Spec, "%s, and %s has the name %q", says, other, l.Spec)
	case o.idOf(c, c.Member(l.Spec)) != l.ID || !h.hasData():
		s.conflict(Renamed, l.Spec, "%s, and its data is not there", says)
	}
}

// namesake is who else than a listed member has the name that the spec gives it, or had it when its manifest was written; "" for nobody.
func (o *Observed) namesake(c *spec.Cluster, list []kvserver.Member, l Listed) string {
	for _, m := range list {
		if m.ID != l.ID && m.Name == l.Spec {
			return "the member " + kvserver.ID(m.ID)
		}
	}
	has := func(h *Host) bool {
		man := h.manifest()
		return man != nil && man.Cluster == c.Name && man.Member == l.Spec
	}
	for _, n := range sortedKeys(o.Hosts) {
		if n != l.Spec && has(o.Hosts[n]) {
			return "the host of " + n
		}
	}
	for _, id := range sortedKeys(o.Cluster.Strangers) {
		if id != l.ID && has(o.Cluster.Strangers[id].Host) {
			return "the host of " + kvserver.ID(id)
		}
	}
	for _, id := range sortedKeys(o.Left) {
		if has(o.Left[id].Host) {
			return "the host of " + id + ", which has left,"
		}
	}
	return ""
}

func (s *Census) has(r Reason) bool {
	return slices.ContainsFunc(s.Conflicts, func(c Conflict) bool { return c.Reason == r })
}

func (s *Census) conflict(r Reason, subject, format string, args ...any) {
	s.Conflicts = append(s.Conflicts, Conflict{r, subject, fmt.Sprintf(format, args...)})
}

// idOf is the member id that answers at a spec member's address, or else lies
// on its host's disk, or else was recorded there; 0 if nothing says.
func (o *Observed) idOf(c *spec.Cluster, m *spec.Member) uint64 {
	if st := o.Cluster.Answers[m.Name].Status; st != nil {
		return st.MemberID
	}
	h := o.Hosts[m.Name]
	if !h.hasData() {
		return 0
	}
	noted := ""
	if man := h.manifest(); man != nil && man.Cluster == c.Name {
		noted = man.MemberID
	}
	if h.Mark != nil {
		noted = h.Mark.MemberID
	}
	if h.Disk != nil && h.Disk.MemberID != "" {
		noted = h.Disk.MemberID
	}
	id, err := strconv.ParseUint(noted, 16, 64)
	if err != nil {
		return 0 // nothing was noted down
	}
	return id
}

func (h *Host) manifest() *Manifest {
	if h == nil {
		return nil
	}
	return h.Manifest
}

// presumed is the membership while nobody gives a list: those that the cluster listed when somebody last noted
// that down, else the spec's members; of the spec's only their own words are known, of others nothing.
func presumed(c *spec.Cluster, o *Observed) Membership {
	noted, here := o.lastListed()
	of := func(m *spec.Member) int {
		i := slices.IndexFunc(noted, func(n RecordedMember) bool { return slices.Contains(canonicalURLs(n.PeerURLs), peerURL(m)) })
		if h := o.Hosts[m.Name]; i < 0 && (h == nil || h.Problem != "" || h.hasData()) {
			i = slices.IndexFunc(noted, func(n RecordedMember) bool { return n.Name == m.Name })
		}
		return i
	}
	var members []Listed
	found := map[int]bool{}
	for _, m := range c.Members {
		i, a, host := of(m), o.Cluster.Answers[m.Name], o.Hosts[m.Name]
		since := host.hasData() && host.Unit.Running() || here && host != nil && host.Mark != nil // it has become one
		if noted != nil && i < 0 && !since || a.Status != nil && a.Status.Learner {
			continue // it is to join, once somebody serves
		}
		found[i] = true
		h := a.health()
		if h == Healthy {
			h = HealthUnknown
		}
		if a.Asked == NotAsked && host != nil && host.Problem == "" && !host.Unit.Running() {
			h = Down // no process: that much is known without asking
		}
		members = append(members, Listed{Name: m.Name, PeerURLs: []string{peerURL(m)}, Health: h, Spec: m.Name})
	}
	for i, n := range noted {
		if !found[i] {
			members = append(members, Listed{Name: n.Name, PeerURLs: n.PeerURLs, Outside: or(n.Name, n.ID)})
		}
	}
	m, err := NewMembership(members...)
	if err != nil {
		return Membership{members: members} // the spec refuses equal addresses; whoever gets here counts all the same
	}
	return m
}

// lastListed are the voters as somebody noted them down last: a member's own data, the longest log before the
// others, else (here) the operator's side, which may be behind; nil: nobody did.
func (o *Observed) lastListed() (members []RecordedMember, here bool) {
	var best *kvserver.Inspection
	for _, n := range sortedKeys(o.Hosts) {
		d := o.Hosts[n].disk()
		if d == nil || d.BootstrapOnly || len(d.Members) == 0 || d.Log == nil {
			continue
		}
		if best == nil || d.Log.Term > best.Log.Term || d.Log.Term == best.Log.Term && d.Log.LastIndex > best.Log.LastIndex {
			best = d
		}
	}
	switch {
	case best != nil:
		for _, m := range best.Members {
			if !m.Learner {
				members = append(members, RecordedMember{ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs})
			}
		}
	case o.Recorded != nil:
		return o.Recorded.Members, true
	}
	return members, false
}
