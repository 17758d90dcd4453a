package plan

import (
	"fmt"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan/spec"
)

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
	case m.old != "" && m.host.Replaced == "" && !b.ofThisCluster(m):
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
	others := slices.DeleteFunc(slices.Clone(d.Entries), func(n string) bool {
		return slices.Contains(ownEntries, n) || strings.HasPrefix(n, ".restore-")
	})
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
