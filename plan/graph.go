package plan

import (
	"cmp"
	"fmt"
	"slices"
)

// draft is a step before the plan is closed.
type draft struct {
	Step
	subject string   // of the ID, where it is not the member
	after   []string // needs beyond those of the phase: IDs
}

// hosts are the members whose hosts a step works on; none for the operator's side.
func (s Step) hosts() []string {
	out := slices.Clone(s.Action.Hosts())
	if s.Member != "" {
		out = append(out, s.Member)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// needs are what a step must wait for by the rule of phases, among steps added
// before it or after it: the operator's preparations, every earlier phase on
// the hosts it works on (all of them for the last phase), and, for an exclusive one while one has to wait
// for the other, the exclusive step before it. Who waits for a step by name is not waited for by it: a start
// that only waits for a member goes before what is staged on its host late.
func needs(steps []draft, i int, oneByOne bool) []string {
	s := steps[i]
	out := slices.Clone(s.after)
	mine := s.hosts()
	lastExclusive := ""
	for j, o := range steps {
		if j == i {
			continue
		}
		if j < i && o.Action.Exclusive() {
			lastExclusive = o.ID
		}
		if o.Action.Phase() >= s.Action.Phase() || slices.Contains(o.after, s.ID) {
			continue
		}
		shared := slices.ContainsFunc(o.hosts(), func(h string) bool { return slices.Contains(mine, h) })
		if shared || o.Action.Phase() == PhasePrepare || s.Action.Phase() == PhaseForget {
			out = append(out, o.ID)
		}
	}
	if oneByOne && s.Action.Exclusive() && lastExclusive != "" {
		out = append(out, lastExclusive)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// arrange computes every step's needs, leaves out those that others imply, and
// puts the steps into an order that respects them: by phase, then as they were
// added, as far as the needs allow. Needs in a circle are a defect of a rule.
func arrange(steps []draft, oneByOne bool) ([]Step, error) {
	ids := map[string]bool{}
	for _, s := range steps {
		if ids[s.ID] {
			return nil, fmt.Errorf("plan: step %q is there twice", s.ID)
		}
		ids[s.ID] = true
	}
	for i := range steps {
		steps[i].Needs = needs(steps, i, oneByOne)
	}
	slices.SortStableFunc(steps, func(a, b draft) int { return cmp.Compare(a.Action.Phase(), b.Action.Phase()) })
	out := make([]Step, 0, len(steps))
	placed := map[string]bool{}
	for len(out) < len(steps) {
		next := slices.IndexFunc(steps, func(s draft) bool {
			return !placed[s.ID] && !slices.ContainsFunc(s.Needs, func(n string) bool { return !placed[n] })
		})
		if next < 0 {
			return nil, fmt.Errorf("plan: the needs of the steps go in a circle, or name a step that is not there")
		}
		s := steps[next].Step
		placed[s.ID] = true
		out = append(out, s)
	}
	reduce(out)
	return out, nil
}

// reduce leaves out the needs that another need implies: what is left reads well and says the same.
func reduce(steps []Step) {
	implied := map[string]map[string]bool{} // everything that must be done before a step
	for i := range steps {
		all := map[string]bool{}
		for _, n := range steps[i].Needs {
			all[n] = true
			for m := range implied[n] {
				all[m] = true
			}
		}
		implied[steps[i].ID] = all
		full := steps[i].Needs
		steps[i].Needs = slices.DeleteFunc(slices.Clone(full), func(n string) bool {
			return slices.ContainsFunc(full, func(o string) bool { return o != n && implied[o][n] })
		})
	}
}
