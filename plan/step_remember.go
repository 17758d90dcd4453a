package plan

import (
	"slices"
	"strings"

	"quorate/kvserver"
)

// KindRemember notes the cluster down on the operator's side.
const KindRemember Kind = "remember"

// Remember writes what is [Recorded] of the cluster beside its CA. The ids are
// filled in by the execution, from what a quorum lists: a cluster that this plan
// bootstraps has none before. Holds afterwards: the file says what the cluster lists.
type Remember struct {
	quiet
	Path     string   `json:"path"`
	Recorded Recorded `json:"recorded"`
}

// Kind of the step.
func (*Remember) Kind() Kind { return KindRemember }

// Phase of the step.
func (*Remember) Phase() Phase { return PhaseRecord }

// Describe names the file.
func (a *Remember) Describe() Description {
	return Description{Sign: Changed, Items: []Item{{Path: a.Path, Sign: Changed, Problem: "ids, token and members, for committing"}}}
}

// RecordedFile is where the operator's side keeps what is recorded of the cluster.
func (b *builder) recordedFile() string { return b.spec.TLS.Dir + "/cluster.json" }

// remember notes the cluster down once it has formed, and again when its members
// are others. What no run has noted yet is noted as soon as somebody can say it.
func (b *builder) remember() {
	have := b.obs.Recorded
	forms := slices.ContainsFunc(b.steps, func(s draft) bool {
		a, ok := s.Action.(*Start)
		return ok && (a.Bootstrap || !b.census.Known && (have == nil || b.outdated(have)))
	})
	renews := slices.ContainsFunc(b.steps, func(s draft) bool {
		return s.Action.Exclusive() && slices.ContainsFunc(b.members, func(m *member) bool {
			return (m.readdressed || m.renamed()) && slices.Contains(s.hosts(), m.Name)
		})
	})
	says := have != nil && !renews && len(b.coming) == 0 && have.says(b.census.ClusterID, b.census.Membership) && slices.EqualFunc(have.Left, b.left, RecordedMember.is) &&
		slices.Equal(have.Installed, b.installed())
	if !forms && (!b.census.Known || says) {
		return
	}
	d := draft{Step: Step{Title: "note the cluster down in " + b.recordedFile(),
		Action: &Remember{Path: b.recordedFile(), Recorded: Recorded{Format: RecordedFormat, Cluster: b.spec.Name, Token: b.plan.Token, Left: b.left, Installed: b.installed()}}}}
	for _, s := range b.steps {
		if s.Action.Exclusive() || s.Kind == KindInstall || slices.Contains(b.cleaning, s.ID) {
			d.after = append(d.after, s.ID)
		}
	}
	b.add(d)
}

// outdated reports whether the members' own disks list somebody otherwise than it was noted down: a run was cut
// after it had changed the members.
func (b *builder) outdated(have *Recorded) bool {
	last, _ := b.obs.lastListed()
	return slices.ContainsFunc(last, func(m RecordedMember) bool {
		m.PeerURLs = canonicalURLs(m.PeerURLs)
		return !slices.ContainsFunc(have.Members, m.is)
	})
}

// says reports whether what is recorded is of this cluster with these members.
func (r *Recorded) says(id uint64, m Membership) bool {
	var members []kvserver.Member
	for _, l := range m.Members() {
		members = append(members, kvserver.Member{ID: l.ID, Name: l.Name, PeerURLs: l.PeerURLs})
	}
	return r.ClusterID == kvserver.ID(id) && slices.EqualFunc(RecordedMembers(members), r.Members, RecordedMember.is)
}

func (m RecordedMember) is(o RecordedMember) bool {
	return m.ID == o.ID && m.Name == o.Name && slices.Equal(m.PeerURLs, o.PeerURLs)
}

// RecordedMembers are members as cluster.json has them, in the order of their ids.
func RecordedMembers(members []kvserver.Member) []RecordedMember {
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, func(a, b kvserver.Member) int { return strings.Compare(kvserver.ID(a.ID), kvserver.ID(b.ID)) })
	var out []RecordedMember
	for _, m := range sorted {
		out = append(out, RecordedMember{ID: kvserver.ID(m.ID), Name: m.Name, PeerURLs: canonicalURLs(m.PeerURLs)})
	}
	return out
}
