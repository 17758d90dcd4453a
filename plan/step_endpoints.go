package plan

import (
	"strings"

	"quorate/plan/spec"
)

// KindEndpoints writes down for the consumers on this side where the members serve.
const KindEndpoints Kind = "endpoints"

// Endpoints writes the file that says where the members serve: one line, as --etcd-servers takes it. Holds
// afterwards: the file is there with its bytes.
type Endpoints struct {
	quiet
	Client  string `json:"client"`
	Path    string `json:"path"`
	Content string `json:"content"`
	// Had is what it says now, "" for nothing.
	Had string `json:"had,omitempty"`
	// Late: nothing waits for it.
	Late bool `json:"late,omitempty"`
}

// Kind of the step.
func (*Endpoints) Kind() Kind { return KindEndpoints }

// Phase of the step: see [builder.tellConsumers].
func (a *Endpoints) Phase() Phase { return tellPhase(a.Late) }

func tellPhase(late bool) Phase {
	if late {
		return PhaseRecord
	}
	return PhaseTell
}

// Describe shows what changes.
func (a *Endpoints) Describe() Description {
	i := Item{Path: a.Path, Sign: New, Problem: (&Drift{What: DriftMissing}).String(), Diff: diff(a.Path, a.Had, a.Content, a.Had != "")}
	if a.Had != "" {
		i.Sign, i.Problem = Changed, (&Drift{What: DriftContent}).String()
	}
	return Description{Sign: i.Sign, Items: []Item{i}}
}

// EndpointsFile is where this side has a client's endpoints.
func EndpointsFile(c *spec.Client) string { return c.Dir + "/" + c.Name + "/endpoints" }

// line is what a file of endpoints is to say that says something, or nothing, now: while nobody can say who votes, it stays.
func (b *builder) line(had string) string {
	if b.formed && !b.census.Known && had != "" {
		return had
	}
	return strings.Join(b.plan.Endpoints, ",") + "\n"
}

// tellThisSide writes the endpoints of each client on this side, where they are others.
func (b *builder) tellThisSide(after []string, late bool) {
	for _, c := range b.spec.Clients {
		had := b.obs.Clients[c.Name].Endpoints
		line := b.line(had)
		if had == line {
			continue
		}
		b.add(draft{subject: c.Name, after: after, Step: Step{Title: "write the endpoints for client " + c.Name,
			Action: &Endpoints{Client: c.Name, Path: EndpointsFile(c), Content: line, Had: had, Late: late}}})
	}
}
