package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// KindStart starts members that do not serve.
const KindStart Kind = "start"

// Start starts members together and waits until each of them serves. Together,
// because a member is ready only once a quorum is there: starting one and
// waiting for it would wait for ever; where a quorum runs without them, each
// has a step of its own. Holds afterwards: every member listed answers a
// linearizable read and is a voter of the same cluster.
type Start struct {
	Members []StartMember `json:"members"`
	// Bootstrap: the cluster is formed by this start.
	Bootstrap bool `json:"bootstrap,omitempty"`
	// Learner: it is one member, which is listed as a learner and has caught up or is about to. A learner
	// answers for itself only: its status is what is asked for, and it is waited for as long as it
	// receives something.
	Learner bool `json:"learner,omitempty"`
	// Voters is how many the cluster must list afterwards.
	Voters int `json:"voters"`
	// Wait bounds the whole step; of a learner, how long it may stand still.
	Wait time.Duration `json:"wait"`
}

// StartMember is one unit to start.
type StartMember struct {
	Member string `json:"member"`
	Unit   string `json:"unit"`
	// PeerURL that identifies the member while it has no id.
	PeerURL string `json:"peer_url,omitempty"`
	// Restart a process that is there and does not serve, since what it was started with has changed.
	Restart bool `json:"restart,omitempty"`
	// ExeDigest and ConfigDigest are what it has to run with afterwards: a host that booted
	// meanwhile may have started it with what lay there before. Empty: it starts with what it has.
	ExeDigest    string `json:"exe_digest,omitempty"`
	ConfigDigest string `json:"config_digest,omitempty"`
}

// Kind of the step.
func (*Start) Kind() Kind { return KindStart }

// Phase of the step: a learner's is between its addition and its promotion.
func (a *Start) Phase() Phase {
	if a.Learner {
		return PhaseMembers
	}
	return PhaseStart
}

// Exclusive: voters come up.
func (*Start) Exclusive() bool { return true }

// Hosts of the members.
func (a *Start) Hosts() []string { return names(a.Members) }

// Effect brings the members up; a bootstrap makes the cluster out of them.
func (a *Start) Effect(_ string, now Membership) (during, after Membership, err error) {
	if a.Bootstrap && len(now.Members()) == 0 {
		after, err = born(a.Members)
		return now, after, err
	}
	after, err = now.Up(names(a.Members)...)
	return now, after, err
}

// Describe names those that are restarted.
func (a *Start) Describe() Description {
	d := Description{Sign: New}
	for _, m := range a.Members {
		if m.Restart {
			d.Items = append(d.Items, Item{Path: m.Member, Sign: Changed, Note: "its process is restarted"})
		}
	}
	return d
}

func names(members []StartMember) []string {
	return texts(members, func(m StartMember) string { return m.Member })
}

// startWait bounds a start: an election takes about a second, replaying a WAL
// of a full 8 GiB database some tens of seconds on a slow disk; five minutes
// are what kubespray and etcd-druid allow. A unit that keeps ending is not
// waited for that long.
const startWait = 5 * time.Minute

// start starts what is down. It repairs, so it may run with fewer healthy
// voters than a quorum; it takes no healthy voter away.
func (b *builder) start() {
	bootstrap := b.plan.Situation == Absent || b.plan.Situation == Forming
	down := b.those(func(m *member) bool { return m.ails != nil && m.may.start })
	if len(down) == 0 {
		return
	}
	if !bootstrap && b.now.Voters().Writable() {
		for _, m := range down {
			b.updateStopped(m)
			b.startTogether("start", false, m)
		}
		return
	}
	if !bootstrap && b.inVain(down) {
		return
	}
	verb := "start"
	switch {
	case bootstrap:
		verb = "bootstrap with"
	case b.plan.Situation == Stopped:
		verb = "start the stopped cluster:"
	}
	b.startTogether(verb, bootstrap, down...)
}

// inVain holds a start of members who would be no quorum, not even with those of whom nothing is known: they
// would wait for it until the step gives up.
func (b *builder) inVain(down []*member) bool {
	who := memberNames(down)
	after, err := b.now.Up(who...)
	v := after.Voters()
	if err != nil {
		return false
	}
	if others := b.awaitedOutside(); v.Healthy < v.Quorum() && len(others) > 0 && !slices.ContainsFunc(down, func(m *member) bool { return !m.ails.waits }) {
		b.hold(Held{Reason: Quorum, Subject: strings.Join(who, ", "),
			Detail: fmt.Sprintf("they wait for a quorum of %d voters, of which the spec does not have all: %s", v.Total, strings.Join(others, ", ")),
			WayOut: "start those on their hosts, or put them back into the spec until the others serve"})
		return true
	}
	if v.Healthy+v.Unknown >= v.Quorum() {
		return false
	}
	b.hold(Held{Reason: Quorum, Subject: strings.Join(who, ", "),
		Detail: fmt.Sprintf("with them started %d of %d voters would be up, and a quorum is %d: they would only wait for it", v.Healthy, v.Total, v.Quorum()),
		WayOut: "bring the other members back first (see what else is held), then apply again"})
	return true
}

// awaitedOutside are voters that the spec does not have, and of which nobody knows whether they serve.
func (b *builder) awaitedOutside() []string {
	var out []string
	for _, l := range b.now.Members() {
		if l.Spec == "" && !l.Learner && l.Health == HealthUnknown {
			out = append(out, fmt.Sprintf("%s (%s)", l.Label(), strings.Join(l.PeerURLs, ", ")))
		}
	}
	return out
}

func (b *builder) startTogether(verb string, bootstrap bool, members ...*member) {
	a := &Start{Bootstrap: bootstrap, Voters: max(b.now.Voters().Total, 1), Wait: startWait}
	if bootstrap {
		a.Voters = len(b.spec.Members)
	}
	var why []string
	for _, m := range members {
		s := StartMember{Member: m.Name, Unit: m.layout.Unit, Restart: m.ails.restart}
		if m.listed.ID == 0 {
			s.PeerURL = peerURL(m.Member)
		}
		// Who runs already, and is only waited for, goes on with what it has until it is restarted.
		if m.may.push && m.may.stage && (m.ails.restart || !m.host.Unit.Running()) {
			s.ExeDigest, s.ConfigDigest = m.want.exe, m.want.config
		}
		a.Members = append(a.Members, s)
		why = append(why, m.ails.why)
	}
	if !slices.ContainsFunc(members, func(m *member) bool { return !m.ails.waits }) {
		verb = "wait for"
	}
	who := names(a.Members)
	b.add(draft{subject: strings.Join(who, ","), Step: Step{Reasons: why, Title: verb + " " + strings.Join(who, ", "), Action: a}})
}
