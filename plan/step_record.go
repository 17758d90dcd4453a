package plan

import (
	"slices"
	"strings"
)

// KindRecord writes a host's manifest.
const KindRecord Kind = "record"

// Record writes the manifest once everything it says is true. The run's id,
// its time and the cluster's ids are filled in by the execution: only the run
// and the formed cluster know them. Holds afterwards: the manifest says so.
type Record struct {
	quiet
	Path     string   `json:"path"`
	Owner    string   `json:"owner,omitempty"`
	Manifest Manifest `json:"manifest"`
}

// Kind of the step.
func (*Record) Kind() Kind { return KindRecord }

// Phase of the step.
func (*Record) Phase() Phase { return PhaseRecord }

// Describe has nothing to add to the title.
func (*Record) Describe() Description { return Description{Sign: Changed} }

// record comes last on each host: the manifest never says more than is true.
// Formed is for the execution to have seen, where nobody has before.
func (b *builder) record(m *member) {
	if g := m.may; m.want == nil || !g.stage && !g.sign && !g.start && !g.roll {
		return // whose host this is has not been found out
	}
	want, have := b.want(m), m.host.Manifest
	var why []string
	switch {
	case have == nil:
		why = append(why, "there is no manifest")
	case !have.Formed && want.Formed:
		why = append(why, "the cluster has formed")
	case !have.same(want):
		why = append(why, "what is managed has changed")
	case slices.ContainsFunc(b.steps, func(s draft) bool { return slices.Contains(s.hosts(), m.Name) }):
		why = append(why, "this run changes the host")
	default:
		return
	}
	d := draft{Step: Step{
		Member: m.Name, Reasons: why,
		Title:  "record on " + m.Name + ": " + strings.Join(why, ", "),
		Action: &Record{Path: m.layout.Manifest, Owner: b.rootOwner(m), Manifest: *want},
	}}
	// Where nothing else is done, it is noted that this spec was applied: which it was when all that
	// touches a member is done. A run that fails leaves the spec before it the current one, to go back to.
	if !slices.ContainsFunc(b.steps, func(s draft) bool { return slices.Contains(s.hosts(), m.Name) }) {
		for _, s := range b.steps {
			if s.Action.Exclusive() {
				d.after = append(d.after, s.ID)
			}
		}
	}
	b.add(d)
}

// want is the manifest as it should be once the steps so far are done. What this plan does not put on
// the host stays as it was noted.
func (b *builder) want(m *member) *Manifest {
	want, have := *m.want.manifest, m.host.Manifest
	want.Begins = b.begins()
	for _, s := range b.steps {
		if a, ok := s.Action.(*Start); ok && a.Bootstrap {
			want.Formed = true
		}
	}
	if have == nil {
		return &want
	}
	want.ClusterID, want.MemberID, want.Version, want.Keys = have.ClusterID, have.MemberID, have.Version, have.Keys
	want.Specs, want.Runs, want.Replaced = have.Specs, have.Runs, have.Replaced
	want.Begins = max(have.Begins, want.Begins)
	want.Formed = want.Formed || have.Formed
	if !m.may.stage {
		want.PeerURL, want.ClientURL = have.PeerURL, have.ClientURL
		want.SpecDigest, want.Files, want.Archives, want.User = have.SpecDigest, have.Files, have.Archives, have.User
	}
	b.settles(m, &want, have)
	return &want
}
