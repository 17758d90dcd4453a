package plan

import (
	"fmt"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan/spec"
)

// Outsider is a listed member that the spec does not have as one whose host may be looked at: see
// [spec.Cluster.Outside]. Nil where its URLs name no host.
func Outsider(c *spec.Cluster, l Listed) *spec.Member {
	return outsider(c, l.Name, l.Outside, l.PeerURLs, l.ClientURLs)
}

// LeftOver is a member that was expelled, and whose host could not be reached then.
func LeftOver(c *spec.Cluster, r RecordedMember) *spec.Member {
	return outsider(c, r.Name, or(r.Name, r.ID)+"@"+hostOf(r.PeerURLs), r.PeerURLs, nil)
}

// outsider is called as nobody else is here; what lies on a host of this side goes by etcd's name of it.
func outsider(c *spec.Cluster, name, called string, peerURLs, clientURLs []string) *spec.Member {
	host, peer := node.HostPortOf(peerURLs)
	_, client := node.HostPortOf(clientURLs)
	if host == "" {
		return nil
	}
	m := c.Outside(name, host, client, peer)
	m.Name = called
	return m
}

// Leavings are members that were expelled, and whose hosts may still have to be cleaned: those that were noted down as
// such, and those that were noted down as members and that the cluster lists no more, since the run that expelled
// them was cut.
func Leavings(o *Observed, census Census) []RecordedMember {
	if o.Recorded == nil {
		return nil
	}
	out := slices.Clone(o.Recorded.Left)
	if !census.Known || o.Recorded.ClusterID != kvserver.ID(census.ClusterID) {
		return out
	}
	for _, r := range o.Recorded.Members {
		is := func(l Listed) bool { return kvserver.ID(l.ID) == r.ID }
		noted := func(l RecordedMember) bool { return l.ID == r.ID }
		if !slices.ContainsFunc(census.Membership.Members(), is) && !slices.ContainsFunc(out, noted) {
			out = append(out, r)
		}
	}
	return out
}

// retire takes what is left of the members that are expelled, now or earlier, off their hosts: stopped, not
// started at boot any more, data moved aside. A host that cannot be reached is noted down until it can be.
func (b *builder) retire() {
	for _, c := range b.coming {
		if c.join != nil || c.expel.Spec != "" {
			continue
		}
		l := c.expel
		s := b.obs.Cluster.Strangers[l.ID]
		r := RecordedMember{ID: kvserver.ID(l.ID), Name: l.Name, PeerURLs: canonicalURLs(l.PeerURLs)}
		seen := s.Host != nil && s.Host.Problem == ""
		switch {
		case !seen && !l.Started:
			// it has never served, and nobody knows of a host
		case Occupied(b.spec, Outsider(b.spec, l)):
			// a member of the spec is there now
		case !seen:
			b.left = append(b.left, r)
			b.note("%s: its host could not be reached, and is named until it could be cleaned: its member cannot come back, and ends by itself once it hears of that", l.Label())
		default:
			b.clean(s, r, string(KindExpel)+" "+l.Ref().Name)
		}
	}
	for _, r := range Uncleaned(b.spec, b.obs, b.census) {
		if s := b.obs.Left[r.ID]; s.Host != nil && s.Host.Problem == "" {
			b.clean(s, r, "")
			continue
		}
		b.left = append(b.left, r)
		b.note("%s; if it is gone for good, take its entry out of \"left\" in %s", r.Unreached(), b.recordedFile())
	}
}

// Uncleaned are those of [Leavings] on whose hosts no member of the spec is now, and where something of theirs lies, as
// far as that is known.
func Uncleaned(c *spec.Cluster, o *Observed, census Census) []RecordedMember {
	return slices.DeleteFunc(Leavings(o, census), func(r RecordedMember) bool {
		h := o.Left[r.ID].Host
		return Occupied(c, LeftOver(c, r)) || h != nil && h.Problem == "" && h.Manifest == nil && !h.hasData()
	})
}

// Unreached says that what an expelled member has left on its host is still there.
func (r RecordedMember) Unreached() string {
	return fmt.Sprintf("%s (id %s, %s) was expelled, and what is on its host is still to be cleaned: it could not be reached since", or(r.Name, "a member without a name"), r.ID, strings.Join(r.PeerURLs, ", "))
}

// clean stops a member that is listed no longer, and takes what is ours off its host.
func (b *builder) clean(s Stranger, r RecordedMember, after string) {
	m := &member{Member: s.Member, host: s.Host, layout: LayoutOf(b.spec, s.Member), may: everything()}
	man := m.host.Manifest
	if man == nil || man.Cluster != b.spec.Name || man.MemberID != "" && man.MemberID != r.ID {
		if man != nil || m.hasData() {
			b.note("%s: what is on its host was not put there for this member, and is left alone", m.Name)
		}
		return
	}
	for _, h := range m.unusable(m.left()) {
		b.hold(h)
		b.left = append(b.left, r)
		return
	}
	before := len(b.steps)
	b.stop(m)
	b.remove(m)
	for i := range b.steps[before:] {
		if after != "" {
			b.steps[before+i].after = append(b.steps[before+i].after, after)
		}
	}
}

// Occupied reports whether a member of the spec is on the host of a member that the spec does not have: that host is
// looked at, locked and seen to as the one's of the spec.
func Occupied(c *spec.Cluster, m *spec.Member) bool {
	return m != nil && slices.ContainsFunc(c.Members, func(o *spec.Member) bool {
		return o.Address == m.Address && o.Connection.Root == m.Connection.Root
	})
}
