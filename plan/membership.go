package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"quorate/kvserver"
)

// Health of a member, as far as it is known.
type Health string

// What can be known of a member's health.
const (
	HealthUnknown Health = ""        // it could not be asked: not down
	Healthy       Health = "healthy" // answered a linearizable read, under its id, with a leader
	Down          Health = "down"    // does not run, does not answer, or has no leader
)

// Listed is one member of a cluster's configuration.
type Listed struct {
	// ID as etcd gave it; 0 for one that is born in this plan: its peer URLs identify it then.
	ID       uint64
	Name     string // as etcd lists it; "" if it has never started
	PeerURLs []string
	// ClientURLs are where it has said that it serves; none if it has never started.
	ClientURLs []string
	Learner    bool
	// Started: it has published its client URLs at least once.
	Started bool
	Health  Health
	// Spec is the name of the spec's member that this is; "" for one that the spec does not have.
	Spec string
	// Outside is what a member is called that the spec does not have: no other member, and none of the
	// spec's, is called so. See [Census].
	Outside string
}

// Label names the member for people: the spec's name, else its own outside of it, else etcd's, else its id.
func (l Listed) Label() string {
	switch {
	case l.Spec != "":
		return l.Spec
	case l.Outside != "":
		return l.Outside
	case l.Name != "":
		return l.Name
	}
	return fmt.Sprintf("%x", l.ID)
}

// Membership is a cluster's configuration as a value. Its methods give a new
// value and check what must hold of it; they never change the one they are
// called on. The zero value is no cluster.
type Membership struct{ members []Listed }

// NewMembership is the configuration with these members. Two members of one
// id or one peer URL are an error: etcd refuses both.
func NewMembership(members ...Listed) (Membership, error) {
	m := Membership{slices.Clone(members)}
	slices.SortFunc(m.members, func(a, b Listed) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), strings.Compare(strings.Join(a.PeerURLs, ","), strings.Join(b.PeerURLs, ",")), strings.Compare(a.Name, b.Name))
	})
	return m, m.check()
}

// check is the invariant of the value: ids and peer URLs are those of one member each.
func (m Membership) check() error {
	ids, urls := map[uint64]string{}, map[string]string{}
	for _, l := range m.members {
		if other, ok := ids[l.ID]; ok && l.ID != 0 {
			return fmt.Errorf("members %s and %s have the same id %x", other, l.Label(), l.ID)
		}
		ids[l.ID] = l.Label()
		for _, u := range l.PeerURLs {
			if other, ok := urls[u]; ok {
				return fmt.Errorf("members %s and %s have the same peer URL %s", other, l.Label(), u)
			}
			urls[u] = l.Label()
		}
	}
	return nil
}

// Members in the order of their ids, those without one by their peer URLs.
func (m Membership) Members() []Listed { return slices.Clone(m.members) }

// Of is the member that the spec knows under this name.
func (m Membership) Of(name string) (Listed, bool) {
	i := slices.IndexFunc(m.members, func(l Listed) bool { return l.Spec == name })
	if i < 0 {
		return Listed{}, false
	}
	return m.members[i], true
}

// Ref names a listed member.
func (l Listed) Ref() Ref {
	r := Ref{Name: l.Label(), PeerURLs: canonicalURLs(l.PeerURLs), Learner: l.Learner}
	if l.ID != 0 {
		r.ID = kvserver.ID(l.ID)
	}
	return r
}

// Refs name all members, in their order.
func (m Membership) Refs() []Ref {
	out := make([]Ref, len(m.members))
	for i, l := range m.members {
		out[i] = l.Ref()
	}
	return out
}

// is reports whether a listed member is the one that is meant.
func (l Listed) is(r Ref) bool { return r.Is(kvserver.Member{ID: l.ID, PeerURLs: l.PeerURLs}) }

// Add lists a learner. etcd lets one be there at a time (max-learners), and wants needs of the voters to be
// connected with it.
func (m Membership) Add(l Listed, needs int) (Membership, error) {
	v := m.Voters()
	if v.Total == 0 {
		return m, fmt.Errorf("there is no cluster that %s could join", l.Label())
	}
	if v.Healthy < needs {
		return m, fmt.Errorf("%d of %d voters are known to be healthy, and etcd takes a new member only while %d are", v.Healthy, v.Total, needs)
	}
	for _, o := range m.members {
		if o.Learner {
			return m, fmt.Errorf("%s is a learner still, and etcd takes one at a time", o.Label())
		}
	}
	l.Learner = true
	return NewMembership(append(slices.Clone(m.members), l)...)
}

// Promote makes a learner that is up a voter.
func (m Membership) Promote(r Ref) (Membership, error) {
	i := slices.IndexFunc(m.members, func(l Listed) bool { return l.is(r) })
	switch {
	case i < 0:
		return m, fmt.Errorf("member %s is not listed", r)
	case !m.members[i].Learner:
		return m, fmt.Errorf("member %s is a voter already", r)
	case m.members[i].Health != Healthy:
		return m, fmt.Errorf("member %s does not serve: as a voter it would only count against the quorum", r)
	}
	out := Membership{slices.Clone(m.members)}
	out.members[i].Learner = false
	return out, out.check()
}

// Expel takes a member out of the list, and checks that it may go. A learner may, and a voter that is known
// to be down, as long as the others are a quorum of what is left, which they are no less afterwards than before. One that
// serves, or may serve, goes only while every voter is healthy. The last voter never goes.
func (m Membership) Expel(r Ref) (Membership, error) {
	i := slices.IndexFunc(m.members, func(l Listed) bool { return l.is(r) })
	if i < 0 {
		return m, fmt.Errorf("member %s is not listed", r)
	}
	gone, before := m.members[i], m.Voters()
	out := Membership{slices.Delete(slices.Clone(m.members), i, i+1)}
	after := out.Voters()
	switch {
	case !before.Writable():
		return m, fmt.Errorf("%d of %d voters are known to be healthy, and any change of the members needs %d", before.Healthy, before.Total, before.Quorum())
	case gone.Learner:
		return out, out.check()
	case before.Total == 1:
		return m, fmt.Errorf("%s is the last voter: a cluster without one is gone, and destroy is the word for that", gone.Label())
	case !after.Writable():
		return m, fmt.Errorf("of the %d voters that would be left %d are known to be healthy, and a quorum is %d", after.Total, after.Healthy, after.Quorum())
	case gone.Health != Down && after.Healthy < after.Total:
		return m, fmt.Errorf("only %d of the %d other voters are known to be healthy; one that may serve is not taken away meanwhile", after.Healthy, after.Total)
	}
	return out, out.check()
}

// Update gives a member other peer URLs; its id stays. It wants a quorum, and that nobody else has one of them.
func (m Membership) Update(r Ref, urls []string) (Membership, error) {
	i := slices.IndexFunc(m.members, func(l Listed) bool { return l.is(r) })
	if i < 0 {
		return m, fmt.Errorf("member %s is not listed", r)
	}
	if v := m.Voters(); !v.Writable() {
		return m, fmt.Errorf("%d of %d voters are known to be healthy, and any change of the members needs %d", v.Healthy, v.Total, v.Quorum())
	}
	members := slices.Clone(m.members)
	members[i].PeerURLs = urls
	return NewMembership(members...)
}

// Voters counts them.
func (m Membership) Voters() Voters {
	var v Voters
	for _, l := range m.members {
		if l.Learner {
			continue
		}
		v.Total++
		switch l.Health {
		case Healthy:
			v.Healthy++
		case HealthUnknown:
			v.Unknown++
		}
	}
	return v
}

// Up is the configuration in which the spec's members of these names serve.
// They must be listed.
func (m Membership) Up(names ...string) (Membership, error) { return m.set(Healthy, names) }

// Off is the configuration in which they do not, whatever that means for the
// quorum: for stopping a whole cluster.
func (m Membership) Off(names ...string) (Membership, error) { return m.set(Down, names) }

// Down takes one healthy voter away, and checks that it may go: only while
// every voter is healthy, and a quorum stays; one or two voters have none to
// spare, and their interruption is the plan's to announce.
func (m Membership) Down(name string) (Membership, error) {
	before := m.Voters()
	out, err := m.set(Down, []string{name})
	if err != nil {
		return m, err
	}
	l, _ := m.Of(name)
	switch v := out.Voters(); {
	case l.Learner || l.Health != Healthy:
		return out, nil // nobody's quorum is smaller for it
	case before.Healthy < before.Total:
		return m, fmt.Errorf("only %d of %d voters are known to be healthy; one more may not be taken away", before.Healthy, before.Total)
	case !v.Writable() && v.Total > 2:
		return m, fmt.Errorf("%d of %d voters would be left, and a quorum is %d", v.Healthy, v.Total, v.Quorum())
	}
	return out, nil
}

func (m Membership) set(h Health, names []string) (Membership, error) {
	out := Membership{slices.Clone(m.members)}
	for _, n := range names {
		i := slices.IndexFunc(out.members, func(l Listed) bool { return l.Spec == n })
		if i < 0 {
			return m, fmt.Errorf("member %q is not listed", n)
		}
		out.members[i].Health = h
	}
	return out, out.check()
}
