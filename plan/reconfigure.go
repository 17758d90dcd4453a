package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/templates"
)

// change is one change of who the members are, in the order in which they are made.
type change struct {
	join  *member // one of the spec's that joins; nil: somebody is expelled
	expel Listed
	why   string
	last  bool // it may serve, and goes once everything else is done
}

// reconfigure decides who joins and who goes, in this order: who is dead or stands in the way (a learner that
// nobody wants) goes first, since etcd counts it as not connected; then the spec's members join, one at a time,
// each as a learner that is promoted once it has caught up; then those go that serve and that the spec does not have. What
// the membership refuses is held, with the numbers, and nothing is staged for it.
//
// It looks at what the members will be once those that are down have been started, and leaves behind (b.then) what they
// will be when the restarts come.
func (b *builder) reconfigure() {
	then := b.now
	defer func() { b.then = then }()
	for _, m := range b.members {
		if m.ails != nil && m.may.start && !m.joins {
			if up, err := then.Up(m.Name); err == nil {
				then = up
			}
		}
	}
	if !b.formed || !b.census.Known || b.census.has(ListsDiffer) {
		return
	}
	first, last := b.leaving()
	for _, l := range first {
		then = b.expulsion(then, l)
	}
	for _, m := range b.joining() {
		then = b.admission(then, m)
	}
	if len(last) > 0 && b.late() && b.stands(guardWaits) {
		b.hold(Held{Reason: ExpelWaits, Subject: strings.Join(texts(last, Listed.Label), ", "),
			Detail: "the spec does not have it any more, and what is to join first is held",
			WayOut: "resolve what else is held, then apply again"})
		return
	}
	if b.tooMany(last) {
		return
	}
	after := then
	for _, l := range last {
		after = b.expulsion(after, l)
	}
}

// leaving are those that are to be expelled: first those that do not serve, are learners, or have lost their
// data; last those that may serve.
func (b *builder) leaving() (first, last []Listed) {
	listed := b.census.Membership.Members()
	slices.SortStableFunc(listed, func(x, y Listed) int { return strings.Compare(x.Label(), y.Label()) }) // ids are in nobody's order
	for _, l := range listed {
		lost := slices.ContainsFunc(b.members, func(m *member) bool { return m.lost != nil && m.lost.ID == l.ID && m.may.start })
		switch {
		case !lost && l.Spec != "":
		case l.Health == Down || l.Learner:
			first, last = b.side(guardDead, l, first, last)
		default:
			last, first = b.side(guardLiving, l, last, first)
		}
	}
	return first, last
}

// side puts a member to those where it belongs.
func (b *builder) side(g guard, l Listed, right, wrong []Listed) (_, _ []Listed) {
	if b.stands(g) {
		return append(right, l), wrong
	}
	return right, append(wrong, l)
}

// joining are the spec's members that are to join: those that are learners already before the others, since
// etcd takes one at a time.
func (b *builder) joining() []*member {
	joins := b.those(func(m *member) bool { return m.joins && m.may.start })
	slices.SortStableFunc(joins, func(x, y *member) int {
		learner := func(m *member) int {
			if m.in && m.lost == nil {
				return 0
			}
			return 1
		}
		return cmp.Compare(learner(x), learner(y))
	})
	return joins
}

// expulsion notes that a member goes, or holds it.
func (b *builder) expulsion(then Membership, l Listed) Membership {
	next, err := then.Expel(l.Ref())
	answers := l.Health != Down && !l.Learner
	switch {
	case answers && b.protected(l):
		b.hold(Held{Reason: Protected, Subject: l.Label(),
			Detail: "the spec does not have it any more, and it is protected",
			WayOut: "put it back; or apply it with protect = false first, and take it out then"})
	case len(b.raised(kvserver.AlarmCorrupt)) > 0 && answers && !slices.Contains(b.raised(kvserver.AlarmCorrupt), l.Label()):
		b.hold(Held{Reason: Corrupt, Subject: l.Label(),
			Detail: "it is to be expelled, and the alarm CORRUPT stands: what is left may be the bad copy",
			WayOut: "if `quorate status --hash` says that it is the one whose data differs, stop it on its host and apply again; else resolve the alarm first"})
	case answers && b.usedAlone(l):
		who := b.consumers[kvserver.ID(l.ID)]
		b.hold(Held{Reason: ConsumersConnected, Subject: l.Label(),
			Detail: fmt.Sprintf("it is to be expelled, and %d of the addresses that are connected with its client port are connected with no member that stays: %s", len(who), some(who)),
			WayOut: "give them the endpoints of the members that stay, then apply again; or say that they may do without: --accept " + string(ConsumersConnected)})
	case err != nil && b.stands(guardExpel):
		reason, out := Quorum, "bring the other members back first (see what else is held, and `quorate status`), then apply again"
		if v := then.Voters(); l.Health == Down && v.Known() && !v.Writable() {
			reason, out = MajorityLost, majorityLostWayOut
		}
		b.hold(Held{Reason: reason, Subject: l.Label(), Detail: "it is to be expelled: " + err.Error(), WayOut: out})
	default:
		why := "the spec does not have it"
		if l.Spec != "" {
			why = "its data is lost"
		}
		b.coming = append(b.coming, change{expel: l, why: why, last: answers && b.stands(guardLiving)})
		return next
	}
	if m := b.called(l.Spec); m != nil && m.lost != nil {
		m.leave()
	}
	return then
}

// majorityLostWayOut is the way on where too few disks are left.
const majorityLostWayOut = "put the lost data back if there is any; otherwise `quorate recover` makes a new cluster of what is left"

// late reports whether one of the spec's members is to join and does not: it was held, its host is unfit, or
// could not be looked at.
func (b *builder) late() bool {
	return slices.ContainsFunc(b.members, func(m *member) bool {
		coming := slices.ContainsFunc(b.coming, func(c change) bool { return c.join == m })
		return (m.joins || !m.in) && !coming
	})
}

// admission notes that a member joins, or holds it.
func (b *builder) admission(then Membership, m *member) Membership {
	refuse := func(r Reason, why, out string) Membership {
		b.hold(Held{Reason: r, Subject: m.Name, Detail: "it is to join: " + why, WayOut: out})
		m.leave()
		return then
	}
	for _, alarm := range []struct {
		kind string
		r    Reason
	}{{kvserver.AlarmCorrupt, Corrupt}, {kvserver.AlarmNoSpace, NoSpace}} {
		if len(b.raised(alarm.kind)) > 0 {
			return refuse(alarm.r, "the alarm "+alarm.kind+" stands", "resolve the alarm first, then apply again")
		}
	}
	var err error
	next, v := then, then.Voters()
	ref := Ref{Name: m.Name, PeerURLs: []string{peerURL(m.Member)}, Learner: true}
	if m.in && m.lost == nil {
		ref = m.listed.Ref()
	} else {
		next, err = then.Add(Listed{Spec: m.Name, PeerURLs: ref.PeerURLs, Health: Down}, b.votersToAdd(v.Total))
	}
	if err == nil && m.readdressed {
		next, err = next.Update(ref, []string{peerURL(m.Member)})
	}
	list := initialPeers(next)
	if err == nil {
		next, err = next.Up(m.Name)
	}
	if err == nil {
		next, err = next.Promote(ref)
	}
	if err != nil {
		return refuse(AddNeedsVoters, err.Error(), "bring the others back first, or take out of the spec who does not come back (see what else is held); then apply again")
	}
	m.list = list
	if v.Total == 1 {
		b.note("while %s joins, the cluster grows from one voter: from its promotion on both must be up for writes", m.Name)
	}
	b.coming = append(b.coming, change{join: m})
	return next
}

// initialPeers are the members as a newcomer is told of them.
func initialPeers(m Membership) []templates.InitialPeer {
	var out []templates.InitialPeer
	for _, l := range m.Members() {
		out = append(out, templates.InitialPeer{Name: l.bootstrapName(), URLs: canonicalURLs(l.PeerURLs)})
	}
	return out
}

// bootstrapName is what a bootstrap file calls a member: etcd finds it there by its peer URLs, and wants a name without
// its own separators.
func (l Listed) bootstrapName() string {
	if name := l.Label(); !strings.ContainsAny(name, "=,") {
		return name
	}
	return kvserver.ID(l.ID)
}

// votersToAdd is how many of n voters etcd wants connected for an addition, whoever of them is asked.
func (b *builder) votersToAdd(n int) int {
	if !b.stands(guardAdd) {
		return 0
	}
	needs := 0
	for _, m := range b.seen() {
		if st := m.answer.Status; st != nil {
			needs = max(needs, kvserver.VotersToAdd(n, st.Version))
		}
	}
	return needs
}

// protected reports whether a member must not be expelled while it may serve: the spec protects the cluster, or its host
// has noted that it was protected when it was applied.
func (b *builder) protected(l Listed) bool {
	man := b.obs.Cluster.Strangers[l.ID].Host.manifest()
	return b.spec.Protect || man != nil && man.Protect
}

// tooMany holds expulsions that leave fewer voters than agree on a write today: taken for a slip, since
// what is left was never a quorum of what is there.
func (b *builder) tooMany(last []Listed) bool {
	v := b.census.Membership.Voters()
	leaving := slices.DeleteFunc(slices.Clone(last), func(l Listed) bool { return l.Learner })
	stay := v.Total - len(leaving)
	if len(leaving) < 2 || stay >= v.Quorum() || slices.Contains(b.opt.Accept, MajorityRemoved) {
		return false
	}
	b.hold(Held{Reason: MajorityRemoved, Subject: strings.Join(texts(leaving, Listed.Label), ", "),
		Detail: fmt.Sprintf("%d of %d voters are to be expelled at once: the %d that would stay are fewer than the quorum of %d that has agreed on every write so far", len(leaving), v.Total, stay, v.Quorum()),
		WayOut: "take them out of the spec one after another, or say that it is meant: --accept majority-removed"})
	return true
}

// changeMembers adds the steps of the changes that were decided: before the restarts those that repair or join; after
// them (last) those that take away who serves, since a restart is survived the better the more there are.
func (b *builder) changeMembers(last bool) {
	for _, c := range b.coming {
		switch {
		case c.last != last:
		case c.join != nil:
			b.join(c.join)
		default:
			ref := c.expel.Ref()
			b.add(draft{subject: ref.Name, Step: Step{
				Title:   "expel " + ref.String(),
				Reasons: []string{c.why},
				Action:  &Expel{Target: ref, Expect: b.now.Refs(), Answers: c.expel.Health != Down && !c.expel.Learner, Consumers: b.consumers[kvserver.ID(c.expel.ID)], Wait: changeWait},
			}})
		}
	}
}

// join has a member listed, started and promoted, as far as it is not.
func (b *builder) join(m *member) {
	l, listed := b.now.Of(m.Name)
	if !listed {
		ref := Ref{Name: m.Name, PeerURLs: []string{peerURL(m.Member)}}
		b.add(draft{Step: Step{Member: m.Name, Title: "add " + m.Name + " as a learner",
			Reasons: []string{"the cluster does not have it"},
			Action:  &Add{Target: ref, Expect: b.now.Refs(), Needs: b.votersToAdd(b.now.Voters().Total), Wait: changeWait}}})
		l, _ = b.now.Of(m.Name)
	}
	if l.Health != Healthy {
		b.updateStopped(m)
		a := &Start{Learner: true, Voters: b.now.Voters().Total, Wait: learnerIdle, Members: []StartMember{{Member: m.Name, Unit: m.layout.Unit, PeerURL: peerURL(m.Member)}}}
		if m.may.push && m.may.stage {
			a.Members[0].ExeDigest, a.Members[0].ConfigDigest = m.want.exe, m.want.config
			a.Members[0].Restart = m.host.Unit.Running() && m.old == ""
		}
		var why []string
		if u := m.host.Unit; u.Looping() { // it may have been put right since: a learner that fails again costs nobody anything
			why = append(why, "its process kept ending, and its log said: "+or(u.Cause, "nothing that names a cause"))
		}
		b.add(draft{subject: m.Name, Step: Step{Title: "start " + m.Name + ", which joins", Reasons: why, Action: a}})
		l, _ = b.now.Of(m.Name)
	}
	b.add(draft{Step: Step{Member: m.Name, Title: "promote " + m.Name + " once it has caught up",
		Action: &Promote{Target: l.Ref(), Expect: b.now.Refs(), Idle: learnerIdle}}})
}
