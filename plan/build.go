package plan

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"quorate/plan/spec"
	"quorate/templates"
)

// Options are what else a plan depends on; all of it comes in.
type Options struct {
	// Now is the operator's time: for certificates.
	Now time.Time
	// Token is a fresh random initial-cluster token, used if this plan
	// bootstraps and no earlier run has chosen one.
	Token string
	// SpecDigest is spec.Digest of the cluster.
	SpecDigest string
	// SkipUnreachable has a destroy go on with the hosts that could be seen; what belongs to the others is held.
	SkipUnreachable bool
	// Accept are reasons of which the operator has said that they may be passed over, see [Acceptable].
	Accept []Reason
	// EditedFrom is spec.Digest of the spec that this one was just edited from, "" if nobody did: whoever takes a
	// member away from the spec that was applied last means to, also where an earlier one lacked it. It is no [SpecBehind].
	EditedFrom string
	// Forget lets a destroy put away what the operator's side holds of a cluster that no host knows.
	Forget bool
	// KeepData moves data aside on destroy; otherwise it is removed with the rest.
	KeepData bool
	// Purge deletes the data of members that are expelled; otherwise it is moved aside on their hosts.
	Purge bool

	leader    *string             // who led when the plan was made that is made again, "" for nobody known; nil: who leads now
	consumers map[string][]string // of the plan that is made again, see [Inputs]
	without   guard               // switched off, by tests only
}

// Situation is what was found, in one word.
type Situation string

// The situations.
const (
	Absent  Situation = "absent"  // nothing there: bootstrap
	Forming Situation = "forming" // a bootstrap was begun and not finished
	Running Situation = "running" // formed, and somebody runs
	Stopped Situation = "stopped" // formed, and nobody runs: cold start
	Unknown Situation = "unknown" // too little could be seen
)

// Build plans the way from observed to the spec. It returns an error only for
// input that cannot be rendered; what is unsafe is in Plan.Held.
//
// The order of the rules is argued: who is this (identity), may anything be
// done (preflight), what would run (desire), what may be rolled, what lies on
// disk (push, files, certificates: no process is touched), what repairs
// (start), what takes a voter away for a moment (restarts), what is noted down
// (record). The order of the steps follows from their phases and needs.
func Build(c *spec.Cluster, o *Observed, opt Options) (*Plan, error) {
	b, err := begin(Apply, c, o, opt)
	if err != nil {
		return nil, err
	}
	b.identify()
	b.preflight()
	if err := b.desireAll(); err != nil {
		return nil, err
	}
	b.versions()
	b.alarms()
	b.peersNote()
	if !b.plan.Blocked() {
		b.formerNote()
		b.scheduleNote()
		b.servable()
		b.reconfigure()
		b.rollable()
		b.createCA()
		b.pushHelpers()
		b.encryptCA()
		for _, m := range b.members {
			b.push(m)
			b.files(m)
			b.certificates(m)
			b.aside(m)
			b.relocateStopped(m)
		}
		b.fetch()
		b.clients()
		b.reach()
		b.peers()
		b.start()
		b.changeMembers(false)
		b.restarts()
		b.changeMembers(true)
		b.retire()
		b.canary()
		b.tellConsumers()
		for _, m := range b.members {
			b.record(m)
		}
		b.remember()
	}
	return b.finish()
}

// builder is one Build in the making.
type builder struct {
	spec    *spec.Cluster
	obs     *Observed
	opt     Options
	plan    *Plan
	steps   []draft
	members []*member // the spec's, in its order
	census  Census
	user    string // the account that members run as
	// others are the machines that are no members and that something is installed on.
	others []*member
	// consumers are the addresses that use a member that leaves, and none that stays, by its id (hex).
	consumers map[string][]string
	// formed: the cluster has served; lost data is lost.
	formed bool
	// byName: members refuse peers whose certificate is not a peer's.
	byName bool
	// coming are the changes of who the members are, in their order, that were decided.
	coming []change
	// left are members that were expelled, and whose hosts are still to be cleaned.
	left []RecordedMember
	// cleaning are the steps that clean the hosts of others that were expelled: the note of those goes once they are done.
	cleaning []string
	// now is the membership as it will be after the exclusive steps added so far.
	now Membership
	// then is the membership as it is foreseen for the restarts, see [builder.reconfigure].
	then Membership
	// sources are what a recovery was planned from.
	sources *RecoverySources
	err     error // of a rule that planned what may not be: a defect
}

// member is one member of the spec, and everything that is known of it.
type member struct {
	*spec.Member
	host   *Host
	layout Layout
	answer Answer
	// listed is what the cluster's list says of it; in says whether there is such a list and it is on it.
	listed Listed
	in     bool
	want   *desired // nil: its host was not seen
	may    grants
	// ails is why it does not serve and how a start would help; nil if it serves or no start helps.
	ails *ailment
	// stale says how what it runs with differs from what it should run with.
	stale []string
	// old says why its data is nothing that it may start with: it is moved aside. "" if it may.
	old string
	// joins: it is to become a voter of a cluster that has formed, see [builder.reconfigure].
	joins bool
	// lost is what is listed in its name, and has lost its data: it is expelled before it joins; nil: nothing.
	lost *Listed
	// list is the member list that it joins with, itself included.
	list []templates.InitialPeer
	// moves are left to be made of its data, which is not where the spec wants it.
	moves []TreeMove
	// readdressed: the cluster lists it under another peer URL than the spec's, which it is to have.
	readdressed bool
	// former are addresses and names of it beside the spec's, see [formerNames].
	former []string
	// rolls: a restart of it is in this plan.
	rolls bool
}

// grants are what steps may do to a member; a held reason takes some away.
type grants struct {
	push  bool // put binaries on its host
	stage bool // write its configuration and unit
	sign  bool // renew its certificates
	start bool // start it while it does not serve
	roll  bool // restart it while it serves
}

// everything may be done to a member of which nothing is held.
func everything() grants { return grants{push: true, stage: true, sign: true, start: true, roll: true} }

func (m *member) leave()        { m.may = grants{} }
func (m *member) healthy() bool { return m.listed.Health == Healthy }
func (m *member) hasData() bool { return m.host.hasData() }
func (g grants) any() bool      { return g.push || g.stage || g.sign || g.start || g.roll }

// acting are the members whose hosts steps may touch.
func (b *builder) acting() []*member {
	return b.those(func(m *member) bool { return m.may.any() })
}

// seen are the members whose hosts could be looked at.
func (b *builder) seen() []*member {
	return b.those(func(m *member) bool { return m.host.Problem == "" })
}

// those are the members of which something is so, in the spec's order.
func (b *builder) those(so func(*member) bool) []*member {
	return slices.DeleteFunc(slices.Clone(b.members), func(m *member) bool { return !so(m) })
}

// called is the member of that name, nil if the spec has none.
func (b *builder) called(name string) *member {
	if i := slices.IndexFunc(b.members, func(m *member) bool { return m.Name == name }); i >= 0 {
		return b.members[i]
	}
	return nil
}

func memberNames(members []*member) []string {
	return texts(members, func(m *member) string { return m.Name })
}

func begin(v Verb, c *spec.Cluster, o *Observed, opt Options) (*builder, error) {
	b := &builder{spec: c, obs: o.current(), opt: opt}
	b.plan = &Plan{Format: Format, Verb: v, Cluster: c.Name, Situation: Unknown, SpecDigest: opt.SpecDigest, Steps: []Step{}, Observed: o.Facts()}
	b.plan.ObservedDigest = FactsDigest(b.plan.Observed)
	o = b.obs
	var errs []error
	for _, m := range c.Members {
		h := o.Hosts[m.Name]
		if h == nil {
			errs = append(errs, fmt.Errorf("member %q was not looked at", m.Name))
			continue
		}
		b.members = append(b.members, &member{Member: m, host: h, layout: LayoutOf(c, m), answer: o.Cluster.Answers[m.Name]})
	}
	for _, m := range c.Consumers() {
		h := o.Others[m.Name]
		if h == nil {
			errs = append(errs, fmt.Errorf("host %q was not looked at", m.Name))
			continue
		}
		b.others = append(b.others, &member{Member: m, host: h, layout: LayoutOf(c, m)})
	}
	b.census = TakeCensus(c, o)
	b.now = b.census.Membership
	b.plan.Before = b.now.Voters()
	for _, m := range b.members {
		m.listed, m.in = b.census.Membership.Of(m.Name)
		m.in = m.in && b.census.Known
	}
	b.consumers = b.onlyThere()
	if opt.leader != nil {
		b.lead(*opt.leader)
		b.consumers = opt.consumers
	}
	b.user = b.account()
	b.plan.Inputs = b.inputs()
	b.unfinishedRestore()
	return b, errors.Join(errs...)
}

// finish closes the plan: order, needs and voters of the steps, invariants of the shape.
func (b *builder) finish() (*Plan, error) {
	if b.err != nil {
		return nil, b.err
	}
	b.plan.After = b.now.Voters()
	b.onlyUnfinished()
	if b.plan.Blocked() {
		b.plan.Steps, b.plan.After = []Step{}, b.plan.Before
		return b.plan, nil
	}
	var err error
	if b.plan.Steps, err = arrange(b.steps, b.stands(guardExclusive)); err != nil {
		return nil, err
	}
	// Exclusive steps stand in the order in which they were added, so that each has the voters it was
	// planned with; the others see those of the last exclusive one before them.
	v := b.plan.Before
	for i := range b.plan.Steps {
		s := &b.plan.Steps[i]
		if s.Action.Exclusive() {
			v = s.Quorum.After
			continue
		}
		s.Quorum = Effect{Before: v, During: v, After: v}
	}
	return b.plan, b.plan.check()
}

func (b *builder) desireAll() error {
	b.byName = b.peersByName()
	for _, m := range b.seen() {
		var err error
		if m.want, err = b.desire(m); err != nil {
			return err
		}
	}
	return nil
}

// add appends a step; its needs come from its phase, its voters from its effect. The ID is the kind and the
// subject, which is the member where none is given.
func (b *builder) add(d draft) {
	subject := or(d.subject, d.Member)
	d.Kind = d.Action.Kind()
	d.ID = string(d.Kind)
	if subject != "" {
		d.ID += " " + subject
	}
	before := b.now
	during, after, err := d.Action.Effect(d.Member, before)
	if err != nil {
		b.err = errors.Join(b.err, fmt.Errorf("plan: step %q may not be planned: %w", d.ID, err))
		return
	}
	d.Quorum = Effect{Before: before.Voters(), During: during.Voters(), After: after.Voters()}
	b.now = after
	b.steps = append(b.steps, d)
}

func (b *builder) hold(h Held) {
	h.Voters = b.plan.Before
	b.plan.Held = append(b.plan.Held, h)
}

func (b *builder) note(format string, args ...any) {
	b.plan.Notes = append(b.plan.Notes, fmt.Sprintf(format, args...))
}
