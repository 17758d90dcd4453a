package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/plan/spec"
)

// RestoreInput is what a restore is planned from, beside spec and observation.
type RestoreInput struct {
	// Mark is what the hosts are to note, but for what is different on each, the revisions and the voters: those are
	// filled in here.
	Mark kvserver.RestoreMark
	// Content of the snapshot, read from the file.
	Content kvserver.SnapshotContent
	// Cluster that the snapshot was taken of, as its metadata says; "" without any.
	Cluster string
	// Bump has the revision begin above all that is known to have been seen by a client; Known is the highest one
	// that backups tell of.
	Bump  bool
	Known int64
}

// RevisionBump is how far above the highest known revision a restored cluster begins: what was written after
// the newest of all that is known is in between. etcd's recovery guide names it: at 1,500 writes a second it is a week.
const RevisionBump = 1_000_000_000

// InitialCluster lists the spec's members with their peer URLs, as etcd writes it.
func InitialCluster(c *spec.Cluster) string {
	var all []*member
	for _, m := range c.Members {
		all = append(all, &member{Member: m})
	}
	return initialCluster(all)
}

func initialCluster(members []*member) string {
	return strings.Join(texts(members, func(m *member) string { return m.Name + "=" + peerURL(m.Member) }), ",")
}

// BuildRestore plans that the spec's members get the content of a snapshot: on every host a mark, then the new data beside
// the old one while that serves; only then all members are stopped, the data is exchanged, and they start as a new cluster.
func BuildRestore(c *spec.Cluster, o *Observed, opt Options, in RestoreInput) (*Plan, error) {
	b, err := begin(Restore, c, o, opt)
	if err != nil {
		return nil, err
	}
	b.beginRestore()
	if b.restoreStands() {
		return b.finish()
	}
	b.bootstraps()
	b.mixedUp()
	b.oldMembers()
	b.restorable(in.Content)
	b.otherCluster(in)
	of := restoring{mark: in.Mark}
	if v := b.now.Voters(); v.Writable() {
		of.mark.Voters = v.Total
	}
	if of.mark.Revision, of.mark.CompactRevision = in.Content.Revision, in.Content.CompactRevision; in.Bump {
		of.mark.Revision = max(b.highest(), in.Content.Revision, in.Known) + RevisionBump
		of.mark.CompactRevision = of.mark.Revision
	}
	of.mark.Bumped, of.mark.Stage = in.Bump, kvserver.RestoreStaging
	of.mark.NoSpace = noSpace(in.Content)
	of.mark.Dependents = b.dependents()
	return b.restore(of)
}

// BuildResume plans what is left of a restore, from the marks on the hosts.
func BuildResume(c *spec.Cluster, o *Observed, opt Options) (*Plan, error) {
	b, err := begin(Restore, c, o, opt)
	if err != nil {
		return nil, err
	}
	b.partOf(UnfinishedRestore(o))
	b.beginRestore()
	of, ok := b.marks()
	switch {
	case !ok:
		return b.finish()
	case of.mark.Stage.Backwards():
		b.hold(Held{Reason: RestoreUnfinished, Subject: c.Name, Blocks: true, Detail: UnfinishedText(&of.mark), WayOut: "finish the undo: `quorate restore --undo`; then restore again"})
		return b.finish()
	}
	of.mark.Stage = kvserver.RestoreStaging
	return b.restore(of)
}

// BuildUndo plans that the old data of an unfinished restore comes back.
func BuildUndo(c *spec.Cluster, o *Observed, opt Options) (*Plan, error) {
	b, err := begin(Restore, c, o, opt)
	if err != nil {
		return nil, err
	}
	b.partOf(UnfinishedRestore(o))
	b.beginRestore()
	of, ok := b.marks()
	if !ok || b.plan.Blocked() {
		return b.finish()
	}
	exchanged := b.those(func(m *member) bool {
		r := m.host.Restore
		return r != nil && r.touched() || r == nil && b.serves(m, of.mark.ClusterID)
	})
	away := b.those(func(m *member) bool {
		return !m.host.Unit.Enabled || m.host.Unit.Active != "active" && of.mark.Voters > 0
	})
	if len(exchanged) > 0 || len(away) > 0 {
		b.mark(of, kvserver.RestoreUndoing, b.members)
		if len(exchanged) > 0 {
			b.halt(of)
			b.swap(of, true, b.members)
		}
		b.revive(of, kvserver.RestoreReturning, "the old data is in its place again; the restored one is kept below .aside/"+of.mark.Undone())
		b.recordRestore(of, true)
	}
	b.startDependents(of)
	b.unmark(of)
	return b.finish()
}

// Writes says what a client may have written to the restored cluster, which an undo puts aside; "" where nothing was.
func Writes(o *Observed) string {
	mark := UnfinishedRestore(o)
	if mark == nil {
		return ""
	}
	started, told := mark.Stage == kvserver.RestoreStarting, false
	for _, n := range sortedKeys(o.Hosts) {
		h := o.Hosts[n]
		started = started || h.Restore == nil && h.Problem == "" || h.Restore != nil && h.Restore.Mark.Stage == kvserver.RestoreStarting
		revision := int64(0)
		if st := o.Cluster.Answers[n].Status; st != nil && kvserver.ID(st.ClusterID) == mark.ClusterID {
			revision, told = st.Revision, true
		} else if r := h.Restore; r != nil && r.ClusterID == mark.ClusterID {
			revision = r.Revision
		}
		if revision > mark.Revision {
			return fmt.Sprintf("%s has taken writes: its revision is %d, and the restored one was %d", n, revision, mark.Revision)
		}
	}
	for _, n := range sortedKeys(o.Hosts) {
		if r := o.Hosts[n].Restore; started && !told && r != nil && r.ClusterID == mark.ClusterID {
			return "the restored members may have served, and none of them could be asked whether they have taken writes"
		}
	}
	return ""
}

// beginRestore holds what no restore goes without: every host that takes part, each with what its member runs from.
func (b *builder) beginRestore() {
	_, running, _ := b.history()
	b.plan.Situation = Stopped
	if running || b.now.Voters().Healthy > 0 {
		b.plan.Situation = Running
	}
	b.unreachable(true)
	b.authority(true)
	for _, m := range b.seen() {
		b.setUp(m)
	}
}

// restoreStands holds everything where one is unfinished.
func (b *builder) restoreStands() bool {
	mark := UnfinishedRestore(b.obs)
	if mark != nil {
		b.hold(Held{Reason: RestoreUnfinished, Subject: b.spec.Name, Blocks: true, Detail: UnfinishedText(mark),
			WayOut: "finish it with `quorate restore --resume`, or take it back with `quorate restore --undo`"})
	}
	return mark != nil
}

// setUp holds everything where a host lacks what its member runs from, or holds what is not its member's.
func (b *builder) setUp(m *member) {
	h, l := m.host, m.layout
	hold := func(r Reason, detail, out string) {
		b.hold(Held{Reason: r, Subject: m.Name, Blocks: true, Detail: detail, WayOut: out})
	}
	lacks, man := b.lacks(m), h.Manifest
	switch {
	case m.hasData() && man == nil && !b.proven(m):
		hold(DataExists, fmt.Sprintf("%s holds the data of an etcd member that cluster %q did not make", l.dataPaths(), b.spec.Name), "check whose data it is, and move it aside")
	case len(lacks) > 0 || man == nil:
		hold(NotSetUp, "its host lacks "+strings.Join(lacks, ", "), "quorate apply puts it there, and begins an empty cluster where there is none; then restore")
	case man.Member != m.Name || man.Cluster != b.spec.Name:
		hold(Identity, fmt.Sprintf("the host says it is member %q of cluster %q", man.Member, man.Cluster), "correct the address or the name in the spec")
	case man.DataDir != l.Data || man.WALDir != l.WAL:
		hold(DataMoved, fmt.Sprintf("the member's data is in %s, the spec says %s", man.dataPaths(), l.dataPaths()), "put the former data_dir and wal_dir back into the spec, or apply first")
	case h.Unit.Masked:
		hold(Masked, fmt.Sprintf("its unit %s is masked on the host", l.Unit), "if it is to run again: systemctl unmask "+l.Unit)
	}
}

// lacks are the files that a member runs from and that are not on its host.
func (b *builder) lacks(m *member) (out []string) {
	l := m.layout
	for _, p := range []string{l.Manifest, l.KVServer, l.EtcdYAML, l.UnitFile, l.CA, l.Cert("server"), l.Cert("peer"), l.Cert("client")} {
		if !m.host.Files[p].Exists {
			out = append(out, p)
		}
	}
	return out
}

// mixedUp holds a restore where it is not clear which cluster's members the spec's hosts have. That members are of different
// minds, or lost, does not matter: all of it is replaced.
func (b *builder) mixedUp() {
	before := len(b.plan.Held)
	b.conflicts()
	kept := slices.DeleteFunc(slices.Clone(b.plan.Held[before:]), func(h Held) bool { return h.Reason != OtherCluster && h.Reason != IDMismatch })
	for i := range kept {
		kept[i].Blocks = true
	}
	b.plan.Held = append(b.plan.Held[:before], kept...)
}

// oldMembers holds a restore beside members that nobody stops.
func (b *builder) oldMembers() {
	for _, l := range b.census.Membership.Members() {
		if l.Spec != "" {
			continue
		}
		if l.Health == Healthy {
			b.hold(Held{Reason: OldMembers, Subject: l.Label(), Blocks: true,
				Detail: fmt.Sprintf("the cluster has it as a member (%s), the spec does not, and it serves: it would go on with the old data", strings.Join(l.PeerURLs, ", ")),
				WayOut: "bring the members to what the spec says first (quorate apply), or stop it on its host"})
			continue
		}
		b.note("%s is a member of the cluster that the spec does not have: it is not stopped, and comes back to nobody, since the restored cluster has another id", l.Label())
	}
}

// restorable holds, or says, what the snapshot brings with it.
func (b *builder) restorable(c kvserver.SnapshotContent) {
	hold := func(r Reason, subject, detail, out string) {
		b.hold(Held{Reason: r, Subject: subject, Blocks: true, Detail: detail, WayOut: out})
	}
	quota := b.quota()
	for _, u := range Unfit(c, quota) {
		hold(u.Reason, b.spec.Name, u.Detail, u.WayOut)
	}
	if noSpace(c) && !b.heldOf(b.spec.Name, OverQuota) {
		b.note("in the snapshot the alarm NOSPACE stands: it is ended once the members serve, as their quota of %s leaves room", Bytes(quota))
	}
	if c.Leases > 0 {
		b.note("the snapshot has %d leases: their time begins anew with the restored cluster", c.Leases)
	}
	for _, m := range c.Members {
		if m.Learner {
			b.note("%s was a learner: all restored members are voters", or(m.Name, m.ID))
		}
	}
	for _, m := range b.seen() {
		version := b.servedVersion(m)
		if err := kvserver.Restorable(c, kvserver.Minor(version)); err != nil {
			way := "upgrade the server first, then restore"
			if !errors.Is(err, kvserver.ErrSnapshotNewer) {
				way = "quorate apply first: the version of the server on the host is not known"
			}
			hold(SnapshotNewer, m.Name, err.Error(), way)
		}
		dir := m.layout.Data
		if free, ok := m.host.Space[dir]; ok && free < c.Size+minDataSpace {
			hold(DiskFull, m.Name, fmt.Sprintf("%s has %s free, and the new data needs %s beside the old one", dir, Bytes(free), Bytes(c.Size+minDataSpace)), "free some space there, or enlarge the file system; nothing has been touched")
		}
	}
}

// Unfit is why no cluster of a quota can go on with the content of a snapshot; nothing: it can.
func Unfit(c kvserver.SnapshotContent, quota int64) (out []Held) {
	add := func(r Reason, detail, wayOut string) {
		out = append(out, Held{Reason: r, Detail: detail, WayOut: wayOut})
	}
	for _, a := range c.Alarms {
		switch {
		case a.Alarm != kvserver.AlarmNoSpace:
			add(SnapshotCorrupt, fmt.Sprintf("in the snapshot the alarm %s stands, raised by member %s: its data is not to be trusted", a.Alarm, a.Member), "take another backup")
		case float64(c.SizeInUse) >= roomy*float64(quota):
			add(OverQuota, fmt.Sprintf("in the snapshot the alarm NOSPACE stands, and %s of a quota of %s are in use", Bytes(c.SizeInUse), Bytes(quota)),
				"raise quota_backend_bytes and apply, then restore; or take another backup")
		}
	}
	if c.Size >= quota {
		add(OverQuota, fmt.Sprintf("the snapshot has %s, and the members' quota is %s: the first write would raise NOSPACE", Bytes(c.Size), Bytes(quota)), "raise quota_backend_bytes and apply, then restore")
	}
	if c.AuthEnabled && !slices.Contains(c.Users, "quorate") {
		add(Auth, "in the snapshot authentication is enabled, and there is no user \"quorate\": nobody here could ask the restored members",
			"add a user \"quorate\" with the role root to the cluster and take another backup")
	}
	return out
}

// quota is how large a member's database may get, bytes.
func (b *builder) quota() int64 {
	return (&Disarm{Quota: b.spec.Server.QuotaBackendBytes}).QuotaOf(kvserver.Status{})
}

// noSpace reports whether NOSPACE stands in a snapshot.
func noSpace(c kvserver.SnapshotContent) bool {
	return slices.ContainsFunc(c.Alarms, func(a kvserver.SnapshotAlarm) bool { return a.Alarm == kvserver.AlarmNoSpace })
}

// begins is the revision at which the last restore had the cluster begin, as any host has noted it down; 0: none did.
func (b *builder) begins() int64 {
	out := int64(0)
	for _, m := range b.members {
		if man := m.host.manifest(); man != nil {
			out = max(out, man.Begins)
		}
	}
	return out
}

// highest is the newest revision that a member, a disk, or a restore before this one, tells of. A member that has had no leader since
// its start tells nothing, and holds its database.
func (b *builder) highest() int64 {
	out := b.begins()
	for _, a := range b.obs.Cluster.Answers {
		if a.Status != nil {
			out = max(out, a.Status.Revision)
		}
	}
	for _, s := range b.obs.Cluster.Strangers {
		if s.Answer.Status != nil {
			out = max(out, s.Answer.Status.Revision)
		}
	}
	for _, m := range b.seen() {
		if d := m.host.Disk; d != nil && d.DB != nil {
			out = max(out, d.DB.Revision)
		}
	}
	return out
}

// serves reports whether a host without a mark has the data of a cluster in its place.
func (b *builder) serves(m *member, cluster string) bool {
	if st := m.answer.Status; st != nil {
		return kvserver.ID(st.ClusterID) == cluster
	}
	if d := m.host.disk(); d != nil {
		return d.ClusterID == cluster
	}
	return m.host.Mark != nil && m.host.Mark.ClusterID == cluster
}

// restore adds the steps from wherever the hosts are.
func (b *builder) restore(of restoring) (*Plan, error) {
	if b.plan.Blocked() {
		return b.finish()
	}
	b.plan.Token = of.mark.Token
	left := b.those(func(m *member) bool {
		r := m.host.Restore
		return r != nil && !r.swapped() || r == nil && !b.serves(m, of.mark.ClusterID)
	})
	b.mark(of, kvserver.RestoreStaging, b.those(func(m *member) bool {
		return len(left) > 0 || m.host.Restore == nil
	}))
	if len(left) > 0 {
		missing := b.those(func(m *member) bool {
			return slices.Contains(left, m) && (m.host.Restore == nil || !m.host.Restore.inHand())
		})
		if of.mark.Snapshot.Disk == nil {
			b.stage(of, missing)
			b.halt(of)
		} else { // a disk is whole only once nobody writes to it
			b.halt(of)
			if len(missing) > 0 {
				b.replay(of)
			}
			b.stage(of, missing)
		}
		b.swap(of, false, left)
	}
	why := fmt.Sprintf("the new cluster is %s; its revision begins at %d", of.mark.ClusterID, of.mark.Revision)
	if of.mark.Bumped {
		why += ", and whoever watches from an earlier one is told \"compacted\""
	}
	b.revive(of, kvserver.RestoreStarting, why)
	if of.mark.NoSpace {
		b.disarm("the restored cluster", b.ids(KindRevive))
	}
	b.recordRestore(of, false)
	b.startDependents(of)
	b.unmark(of)
	return b.finish()
}

// inHand: the new data is staged, or partly in its place, and need not be made again.
func (r *Restoring) inHand() bool { return r.Staged || r.Aside || r.ClusterID == r.Mark.ClusterID }

// halt stops all members once the new data is there on every host, and whoever depends on them before that.
func (b *builder) halt(of restoring) {
	staged := slices.Concat(b.ids(KindStage), b.stopDependents(of))
	n := len(b.steps)
	b.stop(b.leaderLast(b.members)...)
	if len(b.steps) > n {
		s := &b.steps[n]
		s.after, s.Title = staged, "stop "+strings.Join(s.Action.Hosts(), ", ")
	}
}

// recordRestore notes down which cluster it is, on the hosts and here.
func (b *builder) recordRestore(of restoring, back bool) {
	for _, m := range b.members {
		if m.host.Manifest == nil {
			continue
		}
		mark := of.markOf(m)
		want := *m.host.Manifest
		if m.want != nil {
			want = *b.want(m)
		}
		want.Token, want.ClusterID, want.MemberID, want.Formed = mark.Token, mark.ClusterID, mark.Members[m.Name], true
		want.Replaced, want.Begins = replacing(want.Replaced, mark.Was.ClusterID), max(want.Begins, mark.Revision)
		if back {
			want.Token, want.ClusterID, want.MemberID = or(mark.Was.Token, want.Token), mark.Was.ClusterID, mark.Was.MemberID
			want.Begins = mark.Was.Begins
			want.Replaced = slices.DeleteFunc(want.Replaced, func(id string) bool { return id == mark.Was.ClusterID })
		}
		b.add(draft{after: b.ids(KindRevive), Step: Step{Member: m.Name, Title: "record on " + m.Name + " which cluster it is of",
			Action: &Record{Path: m.layout.Manifest, Owner: b.rootOwner(m), Manifest: want}}})
	}
	token := of.mark.Token
	if back {
		if token = of.mark.Was.Token; of.mark.Voters == 0 {
			return
		}
	}
	var left []RecordedMember
	var installed []RecordedInstall
	if r := b.obs.Recorded; r != nil {
		left, installed = r.Left, r.Installed
	}
	b.add(draft{after: b.ids(KindRevive), Step: Step{Title: "note the cluster down in " + b.recordedFile(),
		Action: &Remember{Path: b.recordedFile(), Recorded: Recorded{Format: RecordedFormat, Cluster: b.spec.Name, Token: token, Left: left, Installed: installed}}}})
}
