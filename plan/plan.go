// Package plan computes what to do: Build(spec, observed, options) gives a Plan.
//
// It is pure: no clock, no file, no socket, and no package that has one below
// it (a test says so). A plan leaves no choice to execution: it names every
// file with its bytes, every binary by digest, every certificate by its names.
// It never contains a secret. The same inputs give the same bytes.
//
// It does not execute, retry, or print; that is provision's and the CLI's.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Format is the version of the plan's JSON; a plan of another format is refused.
const Format = 2

// Verb says what the plan is for.
type Verb string

// The verbs that make plans.
const (
	Apply       Verb = "apply"
	Destroy     Verb = "destroy"
	Defrag      Verb = "defrag"
	Compact     Verb = "compact"
	AlarmDisarm Verb = "alarm disarm"
	Restore     Verb = "restore"
	Recover     Verb = "recover"
)

// Restores reports whether a plan of this verb exchanges the data of a cluster, under marks that only a restore ends.
func (v Verb) Restores() bool { return v == Restore || v == Recover }

// Plan is an ordered graph of steps from observed to spec, plus what is held.
type Plan struct {
	Format  int    `json:"format"`
	Verb    Verb   `json:"verb"`
	Cluster string `json:"cluster"`
	// Situation says in one word what was found: absent, forming, running, stopped, unknown.
	Situation Situation `json:"situation"`
	// SpecDigest is spec.Digest of the cluster; ObservedDigest that of Observed below.
	SpecDigest     string `json:"spec_digest"`
	ObservedDigest string `json:"observed_digest"`
	// Inputs are what else the plan was made from, so that it can be made again: see [Plan.Again].
	Inputs Inputs `json:"inputs"`
	// Token is the initial-cluster token of a bootstrap in this plan; not a secret.
	Token string `json:"token,omitempty"`
	// Before and After are the voters now and when every step is done.
	Before Voters `json:"before"`
	After  Voters `json:"after"`
	// Steps in an order that respects every need.
	Steps []Step `json:"steps"`
	// Held is what the plan refuses for now.
	Held []Held `json:"held,omitempty"`
	// Endpoints are the client URLs of those that vote when every step is done, in the spec's order; none where that cannot be told.
	Endpoints []string `json:"endpoints,omitempty"`
	// Notes are warnings that hold nothing up.
	Notes []string `json:"notes,omitempty"`
	// Observed is the world that the plan was made for, one fact a line, no secrets; it explains a refusal.
	Observed []Fact `json:"observed"`
}

// Empty reports whether there is nothing to do. What is held may still be there.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 }

// Blocked reports whether nothing at all may be done until something held is resolved.
func (p *Plan) Blocked() bool {
	return slices.ContainsFunc(p.Held, func(h Held) bool { return h.Blocks })
}

// Interrupts lists the steps that stop writes for a while.
func (p *Plan) Interrupts() []Step {
	var out []Step
	for _, s := range p.Steps {
		if s.Quorum.Interrupts() {
			out = append(out, s)
		}
	}
	return out
}

// Held is a change that the plan refuses for now.
type Held struct {
	// Reason is a name to look up in the manual.
	Reason Reason `json:"reason"`
	// Subject is the member's name, or the cluster's.
	Subject string `json:"subject"`
	// Detail says what was found, with the numbers; WayOut what to do.
	Detail string `json:"detail"`
	WayOut string `json:"way_out"`
	// Blocks says that nothing at all may be done until this is resolved.
	Blocks bool   `json:"blocks,omitempty"`
	Voters Voters `json:"voters"`
}

// Fact is one thing that was observed: a stable key and a short value.
type Fact struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// FactsDigest is the sha256 (hex) of facts in their order.
func FactsDigest(facts []Fact) string {
	h := sha256.New()
	for _, f := range facts {
		fmt.Fprintf(h, "%q=%q\n", f.Key, f.Value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Moved compares the facts a plan was made for with those of now and names
// what changed, one line each, in the order of the keys. Empty: nothing moved.
func Moved(then, now []Fact) []string {
	was := map[string]string{}
	for _, f := range then {
		was[f.Key] = f.Value
	}
	is := map[string]string{}
	var out []string
	for _, f := range now {
		is[f.Key] = f.Value
		switch old, ok := was[f.Key]; {
		case !ok:
			out = append(out, fmt.Sprintf("%s: was not seen, is %s", f.Key, f.Value))
		case old != f.Value:
			out = append(out, fmt.Sprintf("%s: was %s, is %s", f.Key, old, f.Value))
		}
	}
	for _, f := range then {
		if _, ok := is[f.Key]; !ok {
			out = append(out, fmt.Sprintf("%s: was %s, is not seen", f.Key, f.Value))
		}
	}
	return out
}

// Encode is the plan's JSON, indented, ending in a newline: what -o writes.
func (p *Plan) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("cannot encode the plan: %w", err)
	}
	return append(b, '\n'), nil
}

// Decode reads what Encode wrote, for an apply or a destroy: what other verbs plan is made anew each time. A plan of another format, or one whose
// steps are out of order, is refused.
func Decode(b []byte) (*Plan, error) {
	p := new(Plan)
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("cannot read the plan: %w", err)
	}
	if p.Format != Format {
		return nil, fmt.Errorf("cannot use the plan: its format is %d, this version of quorate reads %d; make the plan again", p.Format, Format)
	}
	if p.Verb != Apply && p.Verb != Destroy {
		return nil, fmt.Errorf("cannot use the plan: it is for %q, which is nothing that plans are saved for", p.Verb)
	}
	if FactsDigest(p.Observed) != p.ObservedDigest {
		return nil, fmt.Errorf("cannot use the plan: its digest does not match what it says was observed; make the plan again")
	}
	return p, p.check()
}

// check holds the invariants of a plan's shape.
func (p *Plan) check() error {
	seen := map[string]bool{}
	for _, s := range p.Steps {
		if seen[s.ID] {
			return fmt.Errorf("plan: step %q is there twice", s.ID)
		}
		for _, n := range s.Needs {
			if !seen[n] {
				return fmt.Errorf("plan: step %q needs %q, which does not stand before it", s.ID, n)
			}
		}
		seen[s.ID] = true
	}
	return nil
}
