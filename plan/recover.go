package plan

import (
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/plan/spec"
)

// RecoverInput is what a recovery is planned from, beside spec and observation.
type RecoverInput struct {
	// Mark is what the hosts are to note, but for what is different on each, the members and the revisions: those are filled in
	// here. Its snapshot is a disk, or a file.
	Mark kvserver.RestoreMark
	// Content of the file; nil: it is a disk.
	Content *kvserver.SnapshotContent
	Sources *RecoverySources
	// Identities reckons ids as etcd does, from members with their peer URLs and a token.
	Identities func(initialCluster, token string) (cluster string, members map[string]string, err error)
}

// BuildRecover plans that a cluster which has lost its majority comes back from a disk or a backup. The hosts that can be
// reached, and have what a member runs from, become a new cluster with all that the source holds; whoever is
// missing joins it later. It is a restore over those hosts: it can be resumed and undone like one.
func BuildRecover(c *spec.Cluster, o *Observed, opt Options, in RecoverInput) (*Plan, error) {
	b, err := begin(Recover, c, o, opt)
	if err != nil {
		return nil, err
	}
	b.sources = in.Sources
	b.takePart()
	b.beginRestore()
	if b.restoreStands() {
		return b.finish()
	}
	if Serves(c, o) {
		b.hold(Held{Reason: QuorumServes, Subject: b.spec.Name, Blocks: true, Detail: "a quorum of its members serves: nothing that it has is to be given up",
			WayOut: "quorate apply replaces members that are lost; quorate restore goes back to a backup"})
		return b.finish()
	}
	if led := in.Sources.Led; len(led) > 0 {
		b.hold(Held{Reason: QuorumServes, Subject: strings.Join(led, ","), Blocks: true, Detail: "there is a leader, which it follows or is, so that a quorum may serve out of this side's reach",
			WayOut: "run again in a few seconds: without a quorum a leader steps down; if it stays, reach the others first"})
	}
	if len(b.members) == 0 {
		b.hold(Held{Reason: NotSetUp, Subject: b.spec.Name, Blocks: true, Detail: "no host that can be reached has what a member runs from",
			WayOut: "make a cluster on hosts that there are (quorate apply), and restore a backup into it"})
		return b.finish()
	}
	b.mixedUp()
	of := restoring{mark: in.Mark}
	of.mark.InitialCluster = initialCluster(b.members)
	if of.mark.ClusterID, of.mark.Members, err = in.Identities(of.mark.InitialCluster, of.mark.Token); err != nil {
		return nil, err
	}
	known := max(b.highest(), in.Sources.Revision)
	if in.Content != nil {
		b.restorable(*in.Content)
		known = max(known, in.Content.Revision)
		of.mark.NoSpace = noSpace(*in.Content)
	} else if from := b.called(in.Mark.Snapshot.Disk.Member); from == nil {
		b.hold(Held{Reason: NotSetUp, Subject: in.Mark.Snapshot.Disk.Member, Blocks: true, Detail: "its host lacks what a member runs from, so that its disk cannot be read there",
			WayOut: "choose another source (--from)"})
	}
	of.mark.Revision = known + RevisionBump
	of.mark.CompactRevision, of.mark.Bumped, of.mark.Stage = of.mark.Revision, true, kvserver.RestoreStaging
	of.mark.Dependents = b.dependents()
	if err := b.asTheSpec(); err != nil {
		return nil, err
	}
	return b.restore(of)
}

// Serves reports whether a quorum of a cluster's members serves, also out of this side's reach: one member says so by a read that a quorum
// has to confirm. Then nothing of it is to be recovered.
func Serves(c *spec.Cluster, o *Observed) bool {
	census := TakeCensus(c, o)
	return census.Known || census.Membership.Voters().Writable()
}

// takePart leaves the members out that cannot take part, and says so.
func (b *builder) takePart() {
	var able []*member
	for _, m := range b.members {
		switch {
		case m.host.Problem != "":
			b.note("%s takes no part: its host could not be reached (%s). See that its member is off until an apply has reached it: members of the former cluster that find a quorum serve on beside this one. It cannot come back by its data; apply moves that aside and has it join", m.Name, m.host.Problem)
		case m.host.Manifest == nil && len(b.lacks(m)) > 0:
			b.note("%s takes no part: its host has nothing of a member yet; quorate apply puts it there, and has it join", m.Name)
		default:
			able = append(able, m)
		}
	}
	b.members = able
}

// asTheSpec brings configuration and certificates of those who take part to what the spec says: addresses may be others since they ran.
func (b *builder) asTheSpec() error {
	if b.plan.Blocked() {
		return nil
	}
	b.formed = true
	for _, m := range b.members {
		m.may = grants{stage: true, sign: true}
	}
	if err := b.desireAll(); err != nil {
		return err
	}
	for _, m := range b.members {
		b.files(m)
		b.certificates(m)
	}
	return nil
}

// partOf leaves the members that a restore is of.
func (b *builder) partOf(mark *kvserver.RestoreMark) {
	if mark != nil {
		b.members = b.those(func(m *member) bool { return mark.Members[m.Name] != "" })
	}
}

// current is what was seen, where data and answers of clusters that a restore or a recovery has replaced are nobody's any
// more: hosts that were away meanwhile come back with them, and with a member that still takes itself for one.
func (o *Observed) current() *Observed {
	replaced := map[string]bool{}
	for _, n := range sortedKeys(o.Hosts) {
		if m := o.Hosts[n].manifest(); m != nil {
			for _, id := range m.Replaced {
				replaced[id] = true
			}
		}
	}
	if len(replaced) == 0 {
		return o
	}
	out := *o
	out.Hosts, out.Cluster.Answers = map[string]*Host{}, map[string]Answer{}
	for n, h := range o.Hosts {
		a := o.Cluster.Answers[n]
		if a.Status != nil && replaced[kvserver.ID(a.Status.ClusterID)] {
			a = Answer{Asked: Dead, Problem: "it is a member of cluster " + kvserver.ID(a.Status.ClusterID) + ", which was replaced"}
		}
		if id := h.of(); h.Restore == nil && replaced[id] {
			past := *h
			past.Manifest, past.Mark, past.Disk, past.Replaced = nil, nil, nil, id
			h = &past
		}
		out.Hosts[n], out.Cluster.Answers[n] = h, a
	}
	return &out
}

// of is the cluster that a host's data is of, as far as anything says; "" where nothing does.
func (h *Host) of() string {
	if d := h.disk(); d != nil {
		return d.ClusterID
	}
	if h.Mark != nil {
		return h.Mark.ClusterID
	}
	if m := h.manifest(); m != nil {
		return m.ClusterID
	}
	return ""
}

// replacing is what a manifest notes of the clusters that its own has replaced, once it has replaced one more.
func replacing(had []string, more string) []string {
	out := slices.DeleteFunc(slices.Clone(had), func(id string) bool { return id == more })
	if more == "" {
		return out
	}
	return append(out, more)
}
