package plan

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"quorate/plan/spec"
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
	// SkipUnreachable plans for the hosts that could be seen, and holds what belongs to the others.
	SkipUnreachable bool
	// KeepData moves data aside on destroy; otherwise it is removed with the rest.
	KeepData bool
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
// done (preflight), what lies on disk (push, files, certificates: no process
// is touched), what repairs (start), what takes a voter away for a moment
// (restarts), what is noted down (record).
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
	if !b.blocked() {
		b.createCA()
		for _, m := range b.acting {
			b.push(m)
			b.files(m)
			b.certificates(m)
		}
		b.clients()
		b.start()
		b.restarts()
		for _, m := range b.acting {
			b.record(m)
		}
	}
	return b.finish()
}

// builder is one Build in the making.
type builder struct {
	spec   *spec.Cluster
	obs    *Observed
	opt    Options
	plan   *Plan
	layout map[string]Layout
	want   map[string]*desired
	// acting are the members whose hosts steps may touch, in the spec's order.
	acting []*spec.Member
	// formed: the cluster has served; lost data is lost.
	formed bool
	// served are members that ran before a start step and only waited for it: still what they were.
	served map[string]bool
	// now is the voters as they will be after the steps added so far.
	now Voters
}

func begin(v Verb, c *spec.Cluster, o *Observed, opt Options) (*builder, error) {
	b := &builder{spec: c, obs: o, opt: opt, layout: map[string]Layout{}, want: map[string]*desired{}, served: map[string]bool{}}
	b.plan = &Plan{Format: Format, Verb: v, Cluster: c.Name, Situation: Unknown, SpecDigest: opt.SpecDigest, Steps: []Step{}, Observed: o.facts()}
	b.plan.ObservedDigest = FactsDigest(b.plan.Observed)
	var errs []error
	for _, m := range c.Members {
		b.layout[m.Name] = LayoutOf(c, m)
		if o.Hosts[m.Name] == nil {
			errs = append(errs, fmt.Errorf("member %q was not looked at", m.Name))
		}
	}
	return b, errors.Join(errs...)
}

// finish closes the plan: voters, order, invariants of the shape.
func (b *builder) finish() (*Plan, error) {
	b.plan.After = b.now
	if b.blocked() {
		b.plan.Steps, b.plan.After = []Step{}, b.plan.Before
	}
	return b.plan, b.plan.check()
}

func (b *builder) desireAll() error {
	for _, m := range b.acting {
		d, err := b.desire(m)
		if err != nil {
			return err
		}
		b.want[m.Name] = d
	}
	return nil
}

// Step carries the subject of its ID when that is not the member.
func (b *builder) add(s Step) {
	subject := s.Member
	if s.subject != "" {
		subject = s.subject
	}
	s.ID = string(s.Kind)
	if subject != "" {
		s.ID += " " + subject
	}
	if s.Quorum == (Effect{}) {
		s.Quorum = steady(b.now)
	}
	slices.Sort(s.Needs)
	s.Needs = slices.Compact(s.Needs)
	b.plan.Steps = append(b.plan.Steps, s)
}

func (b *builder) hold(h Held) {
	h.Voters = b.plan.Before
	b.plan.Held = append(b.plan.Held, h)
}

func (b *builder) note(format string, args ...any) {
	b.plan.Notes = append(b.plan.Notes, fmt.Sprintf(format, args...))
}

func (b *builder) blocked() bool {
	return slices.ContainsFunc(b.plan.Held, func(h Held) bool { return h.Blocks })
}

// ids are the steps of these kinds so far.
func (b *builder) ids(kinds ...Kind) []string {
	var out []string
	for _, s := range b.plan.Steps {
		if slices.Contains(kinds, s.Kind) {
			out = append(out, s.ID)
		}
	}
	return out
}

// idsOf are the steps of these kinds on one member's host so far.
func (b *builder) idsOf(member string, kinds ...Kind) []string {
	var out []string
	for _, s := range b.plan.Steps {
		if s.Member == member && slices.Contains(kinds, s.Kind) {
			out = append(out, s.ID)
		}
	}
	return out
}

// leave takes a member out of the acting ones.
func (b *builder) leave(name string) {
	b.acting = slices.DeleteFunc(b.acting, func(m *spec.Member) bool { return m.Name == name })
}
