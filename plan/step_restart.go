package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/templates"
)

// KindRestart restarts one serving member.
const KindRestart Kind = "restart"

// Restart takes one healthy voter away for a moment. It starts only while
// every voter is healthy; leadership is moved away first. Holds afterwards:
// the member runs the executable and configuration with these digests, answers
// a linearizable read and has caught up with what was applied before.
type Restart struct {
	Unit         string        `json:"unit"`
	ExeDigest    string        `json:"exe_digest"`
	ConfigDigest string        `json:"config_digest"`
	Voters       int           `json:"voters"`
	Wait         time.Duration `json:"wait"` // bounds the whole step
	// Name and ClientURL are what the member tells the cluster of itself once it serves, where it has told
	// something else so far; "": nothing new.
	Name      string `json:"name,omitempty"`
	ClientURL string `json:"client_url,omitempty"`
}

// Kind of the step.
func (*Restart) Kind() Kind { return KindRestart }

// Phase of the step.
func (*Restart) Phase() Phase { return PhaseRoll }

// Exclusive: a voter is away for a moment.
func (*Restart) Exclusive() bool { return true }

// Hosts are none beside the step's own.
func (*Restart) Hosts() []string { return nil }

// Effect takes the member away and brings it back.
func (*Restart) Effect(member string, now Membership) (during, after Membership, err error) {
	during, err = now.Down(member)
	return during, now, err
}

// Describe has nothing to add to the title.
func (*Restart) Describe() Description { return Description{Sign: Changed} }

// rollable decides which of the members that serve with something else than
// they should may be restarted by this plan. Where none may, the new
// configuration and binary are not put on their hosts either: the next reboot
// would roll them, ungated.
func (b *builder) rollable() {
	var stale []*member
	for _, m := range b.members {
		if len(m.stale) > 0 && m.may.roll && (m.healthy() || m.ails != nil && m.ails.waits) {
			stale = append(stale, m)
		}
	}
	if len(stale) == 0 {
		return
	}
	refuse := func(h Held) {
		h.Subject = strings.Join(memberNames(stale), ", ")
		b.hold(h)
		for _, m := range stale {
			m.may.push, m.may.stage, m.may.roll = false, false, false
		}
	}
	if h, ok := b.alarmed(stale); ok {
		refuse(h)
		return
	}
	if v := b.then.Voters(); v.Healthy < v.Total && b.stands(guardQuorum) {
		refuse(Held{
			Reason: Quorum,
			Detail: fmt.Sprintf("a restart is due, but only %d of %d voters will be known to be healthy; restarting one more would leave %d, and a quorum is %d",
				v.Healthy, v.Total, v.Healthy-1, v.Quorum()),
			WayOut: "bring the other members back first (see what else is held, and `quorate status`), then apply again",
		})
		return
	}
	if b.oneAtATime(stale) {
		for _, m := range stale {
			m.rolls = true
		}
		return
	}
	refuse(Held{Reason: Quorum,
		Detail: "a restart is due, and a member that is down comes back first, with what lies on its host: what is new is on another host already, and nobody has served with it yet",
		WayOut: "apply again once it serves"})
}

// oneAtATime reports whether what is new stays with one host until its member
// serves with it, see canary. It does not where one has it already, and its
// member cannot be restarted before another one is started that has it not: that
// one then starts with what it has, and the roll waits for the next plan.
func (b *builder) oneAtATime(stale []*member) bool {
	if !b.stands(guardAlone) || !b.plan.Before.Writable() || !slices.ContainsFunc(stale, func(m *member) bool { return m.healthy() && b.holds(m) }) {
		return true
	}
	alone := true
	for _, m := range b.members {
		if m.ails == nil || !m.may.start || m.host.Unit.Running() || !b.restages(m) || !m.equipped() {
			continue
		}
		m.may.push, m.may.stage, alone = false, false, false
	}
	return alone
}

// equipped reports whether its host has all that a member starts from, be it old.
func (m *member) equipped() bool {
	f := m.host.Files
	return f[m.layout.EtcdYAML].Exists && f[m.layout.UnitFile].Exists && f[m.layout.KVServer].Exists
}

// restarts rolls what runs with something else than it should through the
// members: one at a time, followers first, the leader last. But whose host
// holds what is new already, since an earlier run was cut before its restart,
// goes before all others, the leader too: until it serves with that, nobody
// knows whether it can, and no second host may get it (see canary).
func (b *builder) restarts() {
	order := last(b.leaderLast(b.members), func(m *member) bool { return !b.awaited(m) })
	for _, m := range order {
		if !m.rolls {
			continue
		}
		a := &Restart{Unit: m.layout.Unit, ExeDigest: m.want.exe, ConfigDigest: m.want.config, Voters: b.now.Voters().Total, Wait: startWait}
		if m.renamed() {
			a.Name = m.Name
		}
		if u := node.URL("https", m.Address, m.ClientPort); m.in && !slices.Contains(canonicalURLs(m.listed.ClientURLs), u) {
			a.ClientURL = u
		}
		switch {
		case len(m.moves) > 0:
			b.relocate(m, a, m.stale...)
			continue
		case m.readdressed:
			b.stageLate(m)
			b.update(m, a, m.stale...)
			continue
		}
		b.add(draft{Step: Step{Member: m.Name, Reasons: m.stale, Title: "restart " + m.Name, Action: a}})
	}
}

// awaited reports whether a member is to be restarted whose host holds what is new already.
func (b *builder) awaited(m *member) bool {
	return m.rolls && b.holds(m) && b.stands(guardHolder)
}

// holds reports whether what is new lies on the host of a member that runs without it: all of it or, where a run was
// cut while it wrote, a part. Whatever lies there and is not what runs counts: it would be started with at a reboot.
// So does a process that listens already where its member is to be listed. What could not be read is unknown, not different.
func (b *builder) holds(m *member) bool {
	if !b.restages(m) || m.readdressed && slices.Contains(templates.PeerAddresses(m.host.Files[m.layout.EtcdYAML].Content), node.HostPort(m.Address, m.PeerPort)) {
		return true
	}
	u, f := m.host.Unit, m.host.Files
	exe, config, unit := f[m.want.exePath], f[m.layout.EtcdYAML], f[m.layout.UnitFile]
	return u.ExeDigest != "" && exe.Digest != "" && u.ExeDigest != exe.Digest ||
		u.ConfigDigest != "" && config.Exists && unit.Exists && u.ConfigDigest != kvserver.ConfigDigest(config.Content, unit.Content)
}

// leaderLast gives the members in their order, but the leader, if it is known and among them, at the end.
func (b *builder) leaderLast(members []*member) []*member {
	return last(members, func(m *member) bool { return b.leads(m) && b.stands(guardLeader) })
}

// leads reports whether a member is known to lead.
func (b *builder) leads(m *member) bool {
	return b.census.Leader != 0 && m.listed.ID == b.census.Leader
}

// last puts those of which something is so after the others; otherwise their order stays.
func last[T any](all []T, so func(T) bool) []T {
	others := slices.DeleteFunc(slices.Clone(all), so)
	return append(others, slices.DeleteFunc(slices.Clone(all), func(x T) bool { return !so(x) })...)
}

// canary lets a new configuration or binary reach the second host only after
// the first member serves with it, as long as a quorum runs without it: a
// setting that does not start takes one voter then, and not whoever reboots next. Who joins is no voter yet: its
// host may get everything at once.
func (b *builder) canary() {
	if !b.plan.Before.Writable() || !b.stands(guardCanary) {
		return // nobody serves who could be harmed, and nobody would be ready before the others are
	}
	// Whoever is started or restarted first serves with what is new, also one
	// whose host holds that already.
	first := slices.IndexFunc(b.steps, func(s draft) bool { return s.Kind == KindStart || s.Action.Phase() == PhaseRoll })
	if first < 0 {
		return
	}
	bird := b.those(func(m *member) bool { return slices.Contains(b.steps[first].hosts(), m.Name) })[0]
	for i, s := range b.steps {
		if m := b.called(s.Member); s.Action.Phase() == PhaseStage && m != nil && m != bird && !m.joins && b.renews(m) {
			b.steps[i].after = append(b.steps[i].after, b.steps[first].ID)
		}
	}
	b.pushInTurns()
}

// pushInTurns has the binaries come to the hosts of members that serve one after another, in the order of their restarts:
// until one is flushed its disk holds up what the member writes there, and the others are to be free of that.
func (b *builder) pushInTurns() {
	before := ""
	for _, roll := range b.steps {
		if roll.Action.Phase() != PhaseRoll {
			continue
		}
		for i, s := range b.steps {
			if s.Kind == KindPush && s.Member == roll.Member {
				if before != "" {
					b.steps[i].after = append(b.steps[i].after, before)
				}
				before = s.ID
			}
		}
	}
}

// renews reports whether this plan gives a member something new to run with.
// An edited file that is put back under a member that never read it is nothing new.
func (b *builder) renews(m *member) bool {
	if !m.may.stage || m.want == nil {
		return false
	}
	if m.host.Unit.PID != 0 && !m.host.Unit.Looping() {
		return len(m.stale) > 0
	}
	return b.restages(m)
}

// restages reports whether what a member starts from is put on its host by this plan: a binary, its configuration, its unit.
func (b *builder) restages(m *member) bool {
	files, _ := b.unwritten(m)
	return len(b.lacking(m)) > 0 || files != nil && slices.ContainsFunc(files.Files, func(f WriteFile) bool {
		return f.Path == m.layout.EtcdYAML || f.Path == m.layout.UnitFile
	})
}
