package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"quorate/plan/spec"
)

// Inputs are the options that a plan was made with, and of what was observed what its facts leave
// out and its steps depend on.
type Inputs struct {
	Now   time.Time `json:"now"`
	Token string    `json:"token"` // the fresh one that was offered
	// Leader is the member that led, "" if none was known: it is restarted last.
	Leader          string   `json:"leader,omitempty"`
	SkipUnreachable bool     `json:"skip_unreachable,omitempty"`
	Accept          []Reason `json:"accept,omitempty"`
	EditedFrom      string   `json:"edited_from,omitempty"`
	KeepData        bool     `json:"keep_data,omitempty"`
	Forget          bool     `json:"forget,omitempty"`
	Purge           bool     `json:"purge,omitempty"`
	// Consumers are the addresses that were connected with a member that leaves and with none that stays, by its id (hex).
	Consumers map[string][]string `json:"consumers,omitempty"`
}

// inputs notes down what the plan is made from.
func (b *builder) inputs() Inputs {
	in := Inputs{Now: b.opt.Now, Token: b.opt.Token, SkipUnreachable: b.opt.SkipUnreachable, Accept: b.opt.Accept, EditedFrom: b.opt.EditedFrom,
		KeepData: b.opt.KeepData, Forget: b.opt.Forget, Purge: b.opt.Purge, Consumers: b.consumers}
	for _, m := range b.members {
		if b.leads(m) {
			in.Leader = m.Name
		}
	}
	return in
}

// lead puts the leader of an earlier look in the place of today's.
func (b *builder) lead(name string) {
	b.census.Leader = 0
	if m := b.called(name); m != nil {
		b.census.Leader = m.listed.ID
	}
}

// Again makes p, which came from a file, once more out of its inputs and what is observed now, which has
// to have the same facts. What is carried out and shown is what this gives; a file whose steps
// are others was edited, or made by another version of quorate, and is an error that names the first of them.
func (p *Plan) Again(c *spec.Cluster, o *Observed) (*Plan, error) {
	build := Build
	if p.Verb == Destroy {
		build = BuildDestroy
	}
	in := p.Inputs
	again, err := build(c, o, Options{Now: in.Now, Token: in.Token, SpecDigest: p.SpecDigest, leader: &in.Leader,
		SkipUnreachable: in.SkipUnreachable, Accept: in.Accept, EditedFrom: in.EditedFrom, KeepData: in.KeepData, Forget: in.Forget, Purge: in.Purge, consumers: in.Consumers})
	if err != nil {
		return nil, err
	}
	if p.ObservedDigest != again.ObservedDigest {
		return nil, fmt.Errorf("it was made for another state of the world")
	}
	for i := range max(len(p.Steps), len(again.Steps)) {
		if i >= len(p.Steps) {
			return nil, fmt.Errorf("it lacks the step %q", again.Steps[i].ID)
		}
		if i >= len(again.Steps) || !equal(p.Steps[i], again.Steps[i]) {
			return nil, fmt.Errorf("its step %q (%s) is not what the spec and the hosts lead to", p.Steps[i].ID, p.Steps[i].Title)
		}
	}
	if p.Cluster != again.Cluster || p.Token != again.Token || p.Before != again.Before || p.After != again.After || !slices.Equal(p.Observed, again.Observed) {
		return nil, fmt.Errorf("what it says of the cluster is not what the hosts say")
	}
	return again, nil
}

// equal compares two steps by their JSON: a step from a file has been through it.
func equal(a, b Step) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
