package plan

import (
	"fmt"
	"slices"
	"time"
)

// identify finds out which cluster this is and how far it is: who has data,
// whose it is, whether the cluster has ever served. Everything that could make
// a second cluster beside a living one, or start a member that forgot what it
// acknowledged, is held here.
func (b *builder) identify() {
	for _, m := range b.seen() {
		m.may = everything()
	}
	data, running, touched := b.history()
	live := b.census.Known
	switch {
	case b.formed && (live || running):
		b.plan.Situation = Running
	case b.formed:
		b.plan.Situation = Stopped
	case data || live || running || touched:
		b.plan.Situation = Forming
	default:
		b.plan.Situation = Absent
	}
	b.unreachable(!b.formed)
	if b.plan.Situation == Absent {
		b.now = Membership{}
		b.plan.Before = Voters{}
	}
	b.plan.Token = b.opt.Token
	b.bootstraps()
	b.conflicts()
	b.gone()
	b.behind()
	if b.formed && !b.census.has(ListsDiffer) {
		b.membership()
	}
	for _, m := range b.acting() {
		b.dataOf(m)
	}
	for _, m := range b.acting() {
		b.accountOf(m)
	}
	if !b.addressesMoved() {
		b.majority()
	}
	for _, m := range b.acting() {
		m.former = formerNames(b.spec, b.obs, &b.census, m.Member)
	}
	b.authority(data)
}

// history says whether the cluster has formed, and what there is of it. Only
// what was seen counts: a member that is ready, a revision that a client wrote,
// a list that a quorum gave, what a host noted down when its member served, a
// disk with more on it than the bootstrap's own entries.
func (b *builder) history() (data, running, touched bool) {
	b.formed = b.census.Known
	for _, m := range b.seen() {
		h := m.host
		ours := h.hasData() && (h.Manifest != nil || b.proven(m))
		data = data || ours
		running = running || h.Unit.Running()
		touched = touched || h.Manifest != nil || h.Mark != nil
		switch d := h.disk(); {
		case h.Manifest != nil && h.Manifest.Formed, h.Mark != nil:
			b.formed = true
		case d != nil && d.BootstrapOnly: // it has acknowledged nothing
		case ours && d != nil && d.Log != nil && d.Log.LastIndex > 0:
			b.formed = true // a leader has sent it something
		case ours && !h.Unit.Running() && d == nil, h.Manifest == nil && ours:
			b.formed = true // nobody can say how far it had come: the careful reading
		case h.Unit.Active == "active" && h.hasData():
			b.formed = true // Type=notify: it was ready, so it has served
		}
		// etcd starts at revision 1: a higher one was written by a client, so the cluster has served
		// even if the run that made it was cut before it could note that down.
		if st := m.answer.Status; st != nil && st.Revision > 1 {
			b.formed = true
		}
	}
	return data, running, touched
}

// unreachable holds what belongs to hosts that could not be looked at. Before a
// cluster has formed they hold everything, since a bootstrap needs all of them;
// afterwards they hold their own steps, and what touches the quorum holds itself,
// since their voters are unknown.
func (b *builder) unreachable(all bool) {
	for _, m := range b.members {
		if m.host.Problem == "" {
			continue
		}
		h := Held{Reason: HostUnreachable, Subject: m.Name, Detail: m.host.Problem, Blocks: all, WayOut: "fix the connection and run again"}
		switch {
		case b.plan.Verb == Destroy && b.opt.SkipUnreachable:
			h.Blocks, h.WayOut = false, "fix the connection and run again, for what is left there"
		case b.plan.Verb == Destroy:
			h.WayOut += "; or go on with the hosts that answer: --skip-unreachable"
		}
		b.hold(h)
	}
}

// bootstraps holds everything when hosts disagree about which bootstrap they took part in.
func (b *builder) bootstraps() {
	tokens := map[string][]string{}
	for _, m := range b.seen() {
		if man := m.host.Manifest; man != nil {
			tokens[man.Token] = append(tokens[man.Token], m.Name)
		}
	}
	switch len(tokens) {
	case 0:
	case 1:
		b.plan.Token = sortedKeys(tokens)[0]
	default:
		says := groups(tokens, func(t string) string { return "token " + or(t, "none") }, "; ")
		b.hold(Held{Reason: Identity, Subject: b.spec.Name, Blocks: true,
			Detail: "the hosts took part in different bootstraps: " + says,
			WayOut: "find out which hosts hold the cluster you mean (manifest.json under /etc/quorate) and take the others out of the spec, or move their configuration and data aside"})
	}
	for _, m := range b.seen() {
		man := m.host.Manifest
		switch {
		case man == nil || man.Member == m.Name && man.Cluster == b.spec.Name || b.wasCalled(m, man):
		case man.Cluster == b.spec.Name && b.formed && !b.census.Known && b.spec.Member(man.Member) == nil:
			b.hold(Held{Reason: Renamed, Subject: m.Name, Blocks: true,
				Detail: fmt.Sprintf("its host has member %q, and nobody serves who could say that it is the same one", man.Member),
				WayOut: "put the former name back into the spec and apply; rename it while the cluster serves"})
		default:
			b.hold(Held{Reason: Identity, Subject: m.Name, Blocks: true,
				Detail: fmt.Sprintf("the host says it is member %q of cluster %q", man.Member, man.Cluster),
				WayOut: "correct the address or the name in the spec"})
		}
	}
}

// wasCalled reports whether a host's manifest is of the member that the spec has there under a new name: its id is
// the one that the cluster lists, and nobody else has or had either name.
func (b *builder) wasCalled(m *member, man *Manifest) bool {
	return man.Cluster == b.spec.Name && b.census.Known && m.in && b.obs.idOf(b.spec, m.Member) == m.listed.ID &&
		b.spec.Member(man.Member) == nil && !slices.ContainsFunc(b.census.Conflicts, func(c Conflict) bool { return c.Subject == m.Name })
}

// conflicts holds what the census could not bring together. Where it is not
// even clear which cluster is meant, everything waits; a single member that is
// not who it should be is left alone.
func (b *builder) conflicts() {
	wayOut := map[Reason]string{
		OtherCluster:  "find out which of them is the cluster you mean (quorate status, manifest.json on the hosts); take the others out of the spec, or stop them and move their data aside",
		ListsDiffer:   "run again in a moment: a change of members may be under way; if it stays, look at `quorate ctl -- member list` through each member",
		SameName:      "remove the one that does not serve by its id: quorate ctl -- member remove ID",
		IDMismatch:    "the addresses of these members are exchanged in the spec, or their hosts were: put them right",
		Renamed:       "put the former name back into the spec, or give the member a name that nobody has",
		RemovedMember: "bring the members up that the cluster still has, then apply again",
	}
	for _, c := range b.census.Conflicts {
		blocks := c.Subject == b.spec.Name || c.Reason == SameName || c.Reason == IDMismatch
		m, way := b.called(c.Subject), wayOut[c.Reason]
		if c.Reason == Renamed && m != nil && local(m.Member) && !m.hasData() {
			way = "a local member's default folder has its name in it: name the folder that its data is in (connection: root), then apply again"
		}
		b.hold(Held{Reason: c.Reason, Subject: c.Subject, Detail: c.Detail, WayOut: way, Blocks: blocks})
		if m != nil {
			m.leave()
		}
	}
}

// gone holds everything when a cluster of this name was made, and no host
// knows it any more: these are other hosts, or they were made anew. Making a second cluster
// under the same name and CA, which the first one's clients would take for theirs, is nothing to do in silence.
func (b *builder) gone() {
	r := b.obs.Recorded
	if r == nil || b.plan.Situation != Absent {
		return
	}
	b.hold(Held{Reason: ClusterGone, Subject: b.spec.Name, Blocks: true,
		Detail: fmt.Sprintf("cluster %q was formed as %s with %s, and none of the spec's hosts that could be looked at knows it", b.spec.Name, r.ClusterID, r.Names()),
		WayOut: "if the hosts were exchanged by mistake, put the former addresses back; to move all members, keep one of the former ones in the spec until the others have joined; if that cluster is gone for good, `quorate destroy --forget` and apply make a new one"})
}

// behind holds everything when the spec is one that was applied before and has
// been replaced since: most likely an old checkout, which would undo what a colleague did.
func (b *builder) behind() {
	if slices.Contains(b.opt.Accept, SpecBehind) {
		return
	}
	for _, m := range b.seen() {
		man := m.host.Manifest
		if man == nil || len(man.Specs) == 0 {
			continue
		}
		last := man.Specs[len(man.Specs)-1]
		i := slices.IndexFunc(man.Specs, func(s AppliedSpec) bool { return s.Digest == b.opt.SpecDigest })
		if i < 0 || last.Digest == b.opt.SpecDigest || last.Digest == b.opt.EditedFrom {
			continue
		}
		then := man.Specs[i]
		b.hold(Held{Reason: SpecBehind, Subject: b.spec.Name, Blocks: true,
			Detail: fmt.Sprintf("this spec was applied on %s by %s, and replaced by another on %s by %s (as %s has it)",
				day(then.At), then.By, day(last.At), last.By, m.Name),
			WayOut: "see that this checkout is current; to go back to it on purpose: --accept spec-behind"})
		return
	}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// membership compares the formed cluster's members with the spec's: who is to join it, and whose address is another one.
func (b *builder) membership() {
	if !b.census.Known {
		return
	}
	for _, m := range b.seen() {
		id := b.obs.idOf(b.spec, m.Member)
		m.joins = !m.in || m.listed.Learner
		if m.host.Replaced != "" {
			m.old = fmt.Sprintf("it is of cluster %s, which this one has replaced", m.host.Replaced)
		}
		if m.in && !slices.Contains(canonicalURLs(m.listed.PeerURLs), peerURL(m.Member)) {
			b.readdress(m)
		}
		// An id that the cluster does not list any more was removed: it never comes back, whatever its data.
		if id != 0 && b.stands(guardRemoved) && !slices.ContainsFunc(b.census.Membership.Members(), func(l Listed) bool { return l.ID == id }) {
			m.old = fmt.Sprintf("it is of member %x, which was removed from the cluster and cannot come back", id)
		}
	}
}

// authority holds everything when the CA at hand is not the cluster's.
func (b *builder) authority(data bool) {
	ca := b.obs.CA
	if ca.Problem != "" {
		files := "the CA's files in " + b.spec.TLS.Dir
		if ca.Own {
			files = fmt.Sprintf("%s and %s, which ca_cert and ca_key name", b.spec.TLS.CACert, b.spec.TLS.CAKey)
		}
		b.hold(Held{Reason: CAProblem, Subject: b.spec.Name, Detail: ca.Problem, Blocks: true, WayOut: "fix " + files})
		return
	}
	if !ca.Exists && (b.formed || data) {
		b.hold(Held{Reason: CAMissing, Subject: b.spec.Name, Blocks: true,
			Detail: fmt.Sprintf("the cluster is there, its CA is not in %s; a new one would lock every member and client out", b.spec.TLS.Dir),
			WayOut: "put ca.pem and ca-key.pem of this cluster back into " + b.spec.TLS.Dir})
		return
	}
	if !b.formed && !data {
		return
	}
	for _, m := range b.seen() {
		on, ok := m.host.Certificates[m.layout.CA]
		if ok && on.Fingerprint != ca.Cert.Fingerprint {
			b.hold(Held{Reason: CAMismatch, Subject: m.Name, Blocks: true,
				Detail: fmt.Sprintf("the host trusts the CA %s, the one at hand is %s", short(on.Fingerprint), short(ca.Cert.Fingerprint)),
				WayOut: "put the CA of this cluster back into " + b.spec.TLS.Dir + "; this version does not rotate CAs"})
		}
	}
}
