package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan/spec"
	"quorate/templates"
)

// KindUpdate tells the cluster where a member's peers find it from now on.
const KindUpdate Kind = "update"

// Update has the cluster list a member under other peer URLs, and restarts it with the configuration that has it
// listen there: between the two its peers look for it where it is not, so nobody else is away meanwhile. etcd guards
// an update by nothing but that nobody else has the URL. All voters are healthy before, the member leads no more, and
// another one is asked, unless there is no other. Holds afterwards: it is listed under the new URLs and no others; and what Restart
// says, if it is set.
type Update struct {
	Target   Ref      `json:"target"`
	Expect   []Ref    `json:"expect"`    // the whole member list that the plan was made for
	PeerURLs []string `json:"peer_urls"` // that it is to have
	// Wait bounds how long an answer is waited for, see [changeWait].
	Wait time.Duration `json:"wait"`
	// Restart is what follows, where the member serves; nil: it does not, and a start follows.
	Restart *Restart `json:"restart,omitempty"`
}

// Kind of the step.
func (*Update) Kind() Kind { return KindUpdate }

// Phase of the step: that of what follows it.
func (a *Update) Phase() Phase {
	switch {
	case a.Restart != nil:
		return a.Restart.Phase()
	case a.Target.Learner:
		return PhaseMembers
	}
	return PhaseStart
}

// Exclusive: the members change.
func (*Update) Exclusive() bool { return true }

// Hosts are none beside the step's own.
func (*Update) Hosts() []string { return nil }

// Effect gives the member its new URLs, and takes it away for a moment if it serves.
func (a *Update) Effect(member string, now Membership) (during, after Membership, err error) {
	after, err = now.Update(a.Target, a.PeerURLs)
	if err != nil || a.Restart == nil {
		return after, after, err
	}
	return a.Restart.Effect(member, after)
}

// Describe names what is listed instead of what.
func (a *Update) Describe() Description {
	d := Description{Sign: Changed, Items: urlItems(a.PeerURLs, New, "listed from now on")}
	for _, u := range a.Target.PeerURLs {
		if !slices.Contains(a.PeerURLs, u) {
			d.Items = append(d.Items, urlItems([]string{u}, Gone, "listed no longer")...)
		}
	}
	return d
}

// readdress notes that a member is listed under another peer URL than the spec's, or holds it where another
// member has that.
func (b *builder) readdress(m *member) {
	for _, l := range b.census.Membership.Members() {
		if l.ID != m.listed.ID && slices.Contains(canonicalURLs(l.PeerURLs), peerURL(m.Member)) {
			b.hold(Held{Reason: AddressTaken, Subject: m.Name,
				Detail: fmt.Sprintf("its peer URL is to be %s instead of %s, and the cluster lists %s there", peerURL(m.Member), strings.Join(m.listed.PeerURLs, ", "), l.Label()),
				WayOut: "give it an address and a peer port that no other member has; if that one is to leave it, apply that first; two members change places by way of a third address or port"})
			m.may = grants{sign: m.may.sign}
			return
		}
	}
	m.readdressed = true
}

// update adds the step: r is what follows it, nil where the member does not serve.
func (b *builder) update(m *member, r *Restart, why ...string) {
	b.add(draft{Step: Step{
		Member: m.Name, Reasons: why,
		Title:  "move " + m.Name + " to " + peerURL(m.Member),
		Action: b.updateOf(m, r),
	}})
}

func (b *builder) updateOf(m *member, r *Restart) *Update {
	l, _ := b.now.Of(m.Name)
	return &Update{Target: l.Ref(), Expect: b.now.Refs(), PeerURLs: []string{peerURL(m.Member)}, Wait: changeWait, Restart: r}
}

// updateStopped tells the cluster of the new address of a member that does not serve, before it is started there. One
// that is started with what lies on its host, and listens where it did, is told of by the plan that restarts it.
func (b *builder) updateStopped(m *member) {
	if m.readdressed && b.now.Voters().Writable() && (m.may.stage || !b.restages(m)) {
		b.update(m, nil, m.Name+" does not serve, and is to be listed where it is started")
	}
}

// peerAddress is where a member's peers find it now (host:port).
func (m *member) peerAddress() string {
	if host, port := node.HostPortOf(m.listed.PeerURLs); m.readdressed && port != 0 {
		return node.HostPort(host, port)
	}
	return node.HostPort(m.Address, m.PeerPort)
}

// formerNames are the addresses and names, beside the spec's, under which a member may be looked for now: as the
// cluster lists it, as its configuration says while it runs, and where its process answers. Its certificates carry them as
// long as it is so. A member can say of itself what it likes, so only what its server's certificate of this CA carries
// already counts, which is in the name of the spec's member, or of the one that was noted down under its id. Sorted.
func formerNames(c *spec.Cluster, o *Observed, s *Census, m *spec.Member) []string {
	h, layout := o.Hosts[m.Name], LayoutOf(c, m)
	if !h.hasData() {
		return nil // what is listed in its name is not on that host
	}
	had, ok := h.Certificates[layout.Cert("server")]
	if !ok || had.Issuer != o.CA.Cert.Fingerprint || had.Subject != m.Name && had.Subject != o.calledLast(c, m) {
		return nil
	}
	own := pki.CanonicalSANs(memberRequests(m, c.TLS, nil)[0].SANs)
	carried := slices.DeleteFunc(pki.CanonicalSANs(had.SANs), func(n string) bool { return slices.Contains(own, n) })
	if len(carried) == 0 {
		return nil // as nearly always
	}
	names := []string{}
	var ends []string
	if l, ok := s.Membership.Of(m.Name); ok && s.Known {
		names, ends = append(names, l.Name), slices.Concat(l.PeerURLs, l.ClientURLs)
	} else if n, ok := o.noted(c, m); ok {
		names, ends = append(names, n.Name), n.PeerURLs
	}
	at := []string{h.Serves}
	if h.Unit.Running() {
		at = append(at, templates.ClientAddresses(h.Files[layout.EtcdYAML].Content)...)
	}
	for _, a := range at {
		ends = append(ends, "https://"+a)
	}
	for _, u := range ends {
		host, _ := node.HostPortOf([]string{u})
		names = append(names, host)
	}
	return slices.DeleteFunc(pki.CanonicalSANs(names), func(n string) bool { return !slices.Contains(carried, n) })
}

// calledLast is the name that was noted down on the operator's side under the id of the member on a host.
func (o *Observed) calledLast(c *spec.Cluster, m *spec.Member) string {
	if o.Recorded != nil {
		for _, n := range o.Recorded.Members {
			if id := o.idOf(c, m); id != 0 && n.ID == kvserver.ID(id) {
				return n.Name
			}
		}
	}
	return ""
}

// noted is what was noted down last of the member whose data is on a host.
func (o *Observed) noted(c *spec.Cluster, m *spec.Member) (RecordedMember, bool) {
	id := o.idOf(c, m)
	last, _ := o.lastListed()
	for _, n := range last {
		if id != 0 && n.ID == kvserver.ID(id) {
			return n, true
		}
	}
	if man := o.Hosts[m.Name].manifest(); man != nil && man.Cluster == c.Name && man.PeerURL != "" {
		return RecordedMember{ID: man.MemberID, Name: man.Member, PeerURLs: []string{man.PeerURL}}, true
	}
	return RecordedMember{}, false
}

// formerNote says how long certificates carry names that their members leave.
func (b *builder) formerNote() {
	for _, m := range b.acting() {
		if len(m.former) > 0 && m.may.sign {
			b.note("%s: its certificates carry %s too, for those who still use that; the first apply after the move issues them without it", m.Name, strings.Join(m.former, ", "))
		}
	}
}

// addressesMoved holds those whom the other members know at other addresses than the spec's, where nobody serves who could
// be told: started at the spec's they would not be found. If the others are no quorum everything waits. Nothing of their data is lost.
func (b *builder) addressesMoved() bool {
	if !b.formed || b.census.Known {
		return false
	}
	var moved []*member
	var known []string
	for _, m := range b.acting() {
		if n, ok := b.obs.noted(b.spec, m.Member); ok && m.hasData() && !slices.Contains(canonicalURLs(n.PeerURLs), peerURL(m.Member)) {
			moved, known = append(moved, m), append(known, fmt.Sprintf("%s at %s", m.Name, strings.Join(n.PeerURLs, ", ")))
		}
	}
	if len(moved) == 0 {
		return false
	}
	last, _ := b.obs.lastListed()
	v := Voters{Total: max(len(last), b.plan.Before.Total)}
	h := Held{Reason: AddressesMoved, Subject: b.spec.Name, Blocks: v.Total-len(moved) < v.Quorum(),
		Detail: fmt.Sprintf("no quorum serves, and the others know %d of %d voters elsewhere than the spec says: %s. Started at the spec's addresses they would not be found; their data is all there",
			len(moved), v.Total, strings.Join(known, "; "))}
	if h.Blocks {
		h.WayOut = "put the former addresses and ports back into the spec as long as the hosts have them, apply, and change them while the cluster serves; if the hosts have them no more, `quorate recover` makes a new cluster of the data there, at the new ones"
	} else {
		h.WayOut = "have the others serve, which are a quorum; the apply after that tells them the new addresses"
	}
	b.hold(h)
	for _, m := range moved {
		m.may = grants{sign: m.may.sign}
	}
	return h.Blocks
}
