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
		h := Held{Reason: HostUnreachable, Subject: m.Name, Detail: m.host.Problem, Blocks: all && !b.opt.SkipUnreachable, WayOut: "fix the connection and run again"}
		if b.plan.Verb == Destroy {
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
		if m.in && !slices.Contains(canonicalURLs(m.listed.PeerURLs), peerURL(m.Member)) {
			b.readdress(m)
		}
		// An id that the cluster does not list any more was removed: it never comes back, whatever its data.
		if id != 0 && b.stands(guardRemoved) && !slices.ContainsFunc(b.census.Membership.Members(), func(l Listed) bool { return l.ID == id }) {
			m.old = fmt.Sprintf("it is of member %x, which was removed from the cluster and cannot come back", id)
		}
	}
}

// dataOf holds a member whose data directory is not what it must be: never a
// "new" bootstrap where data or a cluster is, and nobody starts with an empty
// disk who may have acknowledged something.
func (b *builder) dataOf(m *member) {
	h, l := m.host, m.layout
	stop := func(r Reason, detail, out string) {
		b.hold(Held{Reason: r, Subject: m.Name, Detail: detail, WayOut: out, Blocks: !b.formed})
		m.leave()
	}
	lacking := !h.Data.Member || l.WAL != "" && !h.WAL.Member
	switch {
	case m.old != "" && m.answer.Asked == Answered:
		stop(RemovedMember, "its host serves as a member that the cluster does not list: "+m.old, "find out which cluster it serves: quorate ctl -- member list")
	case m.old != "" && !b.ofThisCluster(m):
		stop(DataExists, fmt.Sprintf("%s holds the data of a member that cluster %q does not list, and whose it is could not be found out", l.dataPaths(), b.spec.Name),
			"check whose data it is, and move it aside")
	case h.hasData() && h.Manifest == nil && m.answer.Status == nil && !b.proven(m) && !b.known(m): // who answers has shown a certificate of this CA
		whose, out := "", "check whose data it is; move it aside, or give this cluster another data_dir"
		if d := h.disk(); d != nil {
			whose = fmt.Sprintf(" (member %s of cluster %s)", d.MemberID, d.ClusterID)
		} else if b.formed {
			out = "apply puts kvserver there, which can read whose data it is; then run again"
		}
		stop(DataExists, fmt.Sprintf("%s holds the data of an etcd member that cluster %q did not make%s", l.dataPaths(), b.spec.Name, whose), out)
		m.may.push = b.formed && h.disk() == nil
	case h.Manifest == nil && b.foreign(h.Data) != "":
		stop(FolderInUse, fmt.Sprintf("%s is not empty and holds no member: %s", l.Data, b.foreign(h.Data)),
			"give the member a data_dir of its own (a folder that does not exist, or an empty one)")
	case h.Manifest == nil && l.WAL != "" && b.foreign(h.WAL) != "":
		stop(FolderInUse, fmt.Sprintf("%s is not empty and holds no WAL: %s", l.WAL, b.foreign(h.WAL)),
			"give the member a wal_dir of its own (a folder that does not exist, or an empty one)")
	case h.Manifest == nil && b.foreign(h.Base) != "":
		stop(FolderInUse, fmt.Sprintf("the root %s holds something that quorate did not make: %s", l.Root, b.foreign(h.Base)),
			"give the member a root of its own (connection: root)")
	case h.Former.unfinished():
		b.moves(m, stop)
	case h.Manifest != nil && h.Former == nil && (h.Manifest.DataDir != l.Data || h.Manifest.WALDir != l.WAL):
		stop(DataMoved, fmt.Sprintf("the member's data is in %s, the spec says %s, and nobody has looked there", h.Manifest.dataPaths(), l.dataPaths()), "plan again")
	case b.formed && m.healthy() && lacking:
		stop(DataLost, fmt.Sprintf("the member serves, and %s does not hold its data: what the process has open may be the last copy", l.dataPaths()),
			"do not restart it; find out where its data went (was it deleted, or is another file system mounted over it?) and take a backup: quorate ctl -- snapshot save FILE")
		m.may.sign = true
	case b.formed && lacking && !b.census.Known && h.Manifest == nil && !h.hasData():
		stop(ClusterUnknown, "nothing of the cluster is on this host, and no member could be asked whether it has this one",
			"bring the other members up first, then run again")
	case b.formed && !b.census.Known && !b.presumed(m):
		stop(ClusterUnknown, "it was no voter when the members were noted down last, and none of them could be asked whether it is one now",
			"bring the other members up first, then run again")
	case m.joins && !m.in, m.joins && !m.hasData() && !m.listed.Started, m.old != "" && m.in && !m.listed.Started:
		b.leftovers(m)
	case b.formed && (lacking || m.old != "") && m.in && m.listed.Started && m.listed.Health == Down && h.Unit.Active != "active" && b.stands(guardLost):
		lost := m.listed
		m.lost, m.joins = &lost, true
		what := "what is there is of another id"
		if m.old == "" {
			what = m.holding()
		}
		b.leftovers(m)
		b.note("%s: %s: its id %x is expelled, and it joins again with an empty disk. If its data was only moved, or its file system is not mounted, put that right instead", m.Name, what, lost.ID)
	case b.formed && lacking && !b.neverServed(m) && b.stands(guardLost):
		stop(DataLost, fmt.Sprintf("the cluster has formed with this member, and %s: started as new it would have forgotten what it acknowledged", m.holding()),
			"put its data back if it was moved, or mount its file system; else bring the other members up first: once a quorum of them serves, the next apply replaces it")
	case !b.formed && h.hasData() && b.bootstrapDiffers(m) && h.disk() != nil && h.Disk.BootstrapOnly:
		m.old = fmt.Sprintf("it was begun with other members than the spec's, and never had a leader (member %s)", h.Disk.MemberID)
	case !b.formed && h.hasData() && b.bootstrapDiffers(m):
		stop(BootstrapDiffers, "a bootstrap with another list of members was begun here, and its data may hold more than the bootstrap's own entries",
			"put the former members back into the spec and apply; or `quorate destroy` what was begun")
	}
}

// known reports whether the data on a host is of a member that the cluster
// has: read from the disk itself, it needs no manifest and no certificate, so
// that a host that was made anew around its disk is recognised.
func (b *builder) known(m *member) bool {
	d := m.host.disk()
	if d == nil {
		return false
	}
	if b.census.Known {
		return d.ClusterID == kvserver.ID(b.census.ClusterID) && m.in && d.MemberID == kvserver.ID(m.listed.ID)
	}
	if r := b.obs.Recorded; r != nil && r.ClusterID == d.ClusterID {
		return slices.ContainsFunc(r.Members, func(o RecordedMember) bool {
			return o.ID == d.MemberID && (o.Name == m.Name || slices.Contains(o.PeerURLs, peerURL(m.Member)))
		})
	}
	return false
}

// leftovers has what is left of a member's data moved aside where it has no log any more: etcd would take a
// database without one for its own.
func (b *builder) leftovers(m *member) {
	if m.old == "" && !m.hasData() && slices.Contains(m.host.Data.Entries, memberEntries[0]) {
		m.old = "it has no log any more"
	}
}

// ofThisCluster reports whether it has been noted on a host, or can be read from the data itself, that the data there
// is this cluster's.
func (b *builder) ofThisCluster(m *member) bool {
	id := kvserver.ID(b.census.ClusterID)
	switch d, h := m.host.disk(), m.host; {
	case d != nil:
		return d.ClusterID == id
	case h.Mark != nil:
		return h.Mark.ClusterID == id
	}
	return m.host.Manifest != nil && m.host.Manifest.ClusterID == id
}

// blank reports whether a member's disk is empty once the plan's moves are done.
func (m *member) blank() bool { return !m.hasData() || m.old != "" }

// mayBeNew reports whether a member may start with an empty disk: while the cluster is not formed; afterwards
// only as one that joins it, under an id that has never served.
func (b *builder) mayBeNew(m *member) bool {
	switch {
	case !b.formed:
		return m.host.Mark == nil
	case !m.blank():
		return false
	}
	return m.joins && m.may.start || b.neverServed(m) || m.old != "" && m.in && !m.listed.Started
}

// neverServed reports whether a formed cluster lists a member that has never
// started: it was to take part in the bootstrap and the run was cut before. It
// has acknowledged nothing, and etcd itself lets it start as new.
func (b *builder) neverServed(m *member) bool {
	return m.in && !m.listed.Started && !m.listed.Learner && m.host.Mark == nil
}

// presumed reports whether one of the spec's members is a member of the cluster, as far as anybody knows.
func (b *builder) presumed(m *member) bool {
	_, in := b.now.Of(m.Name)
	return in
}

// majority holds the start of a stopped cluster that can have no quorum: too
// many of its disks are lost.
func (b *builder) majority() {
	v := b.plan.Before
	if !b.formed || v.Writable() {
		return
	}
	lost := memberNames(b.those(func(m *member) bool {
		return m.host.Problem == "" && !m.hasData() && !m.healthy() && b.presumed(m)
	}))
	if able := v.Total - len(lost); able >= v.Quorum() || len(lost) == 0 {
		return
	}
	b.hold(Held{Reason: MajorityLost, Subject: b.spec.Name,
		Detail: fmt.Sprintf("%d of %d voters have no data any more (%s); the rest is no quorum, and started it would wait for ever", len(lost), v.Total, strings.Join(lost, ", ")),
		WayOut: majorityLostWayOut})
	for _, m := range b.members {
		m.may.start = false
	}
}

// proven reports whether the host carries this member's own certificate from
// the CA at hand: then its data is this cluster's, also without a manifest.
func (b *builder) proven(m *member) bool {
	if !b.obs.CA.Exists {
		return false
	}
	for _, p := range []pki.Profile{pki.Server, pki.Peer, pki.Client} {
		c, ok := m.host.Certificates[m.layout.Cert(string(p))]
		if ok && c.Issuer == b.obs.CA.Cert.Fingerprint && c.Subject == m.Name {
			return true
		}
	}
	return false
}

// bootstrapDiffers reports whether the data on a host was begun with other
// members than the spec's: as its own log has them, else as the bootstrap file says.
func (b *builder) bootstrapDiffers(m *member) bool {
	if d := m.host.disk(); d != nil && len(d.Members) > 0 {
		begun := texts(d.Members, func(o kvserver.InspectedMember) string {
			return o.Name + " " + strings.Join(slices.Sorted(slices.Values(o.PeerURLs)), ",")
		})
		want := texts(b.spec.Members, func(o *spec.Member) string { return o.Name + " " + peerURL(o) })
		slices.Sort(begun)
		slices.Sort(want)
		return !slices.Equal(begun, want)
	}
	f := m.host.Files[m.layout.Bootstrap]
	if !f.Exists {
		return false
	}
	content, err := b.bootstrap(m)
	if err != nil {
		b.err = err
		return false
	}
	return string(f.Content) != content
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

func (h *Host) hasData() bool { return h != nil && (h.Data.Member || h.WAL.Member || h.Former.holds()) }

// ownEntries are what quorate and etcd make in the folders that the spec names:
// what an earlier, interrupted apply or a destroy that kept the data has left.
var ownEntries = []string{".aside", "member", "wal", "etc", "opt", "var", "run",
	".member.quorate-copy", ".member.quorate-copied", ".wal.quorate-copy", ".wal.quorate-copied"}

// foreign lists what is in a folder that neither quorate nor etcd made; "" for none.
func (b *builder) foreign(d node.DirState) string {
	if !d.Exists || d.Member {
		return ""
	}
	others := slices.DeleteFunc(slices.Clone(d.Entries), func(n string) bool { return slices.Contains(ownEntries, n) })
	if n := d.Count - len(d.Entries); n > 0 && len(others) > 0 {
		others = append(others, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(others, ", ")
}

// holding says what is in a data directory that lacks a member's data.
func (m *member) holding() string {
	h, l := m.host, m.layout
	dir, path := h.Data, l.Data
	if dir.Member && l.WAL != "" && !h.WAL.Member {
		dir, path = h.WAL, l.WAL
	}
	switch {
	case !dir.Exists:
		return path + " is not there"
	case dir.Empty || len(dir.Entries) == 0:
		return path + " is empty"
	}
	return fmt.Sprintf("%s holds no member's WAL, but %s", path, strings.Join(dir.Entries, ", "))
}

func (l Layout) dataPaths() string {
	if l.WAL == "" {
		return l.Data
	}
	return l.Data + " (WAL " + l.WAL + ")"
}
