package plan

import (
	"fmt"
	"slices"
	"strings"

	"quorate/kvserver"
)

// Restoring is what was seen on a host of a restore that is unfinished there.
type Restoring struct {
	Mark kvserver.RestoreMark
	// ClusterID of the data that is in its place; "" where there is none, or it cannot be read.
	ClusterID string
	// Staged: new data waits, whole; Partly: some of it does, or is no more than begun.
	Staged, Partly bool
	// Aside: some of the old data is aside, or the folder for it is there; Undone: some of the new data is.
	Aside, Undone bool
	// Revision of the data in its place, where no process has it open; 0: not known.
	Revision int64
}

// swapped: the new data is in its place, all of it.
func (r *Restoring) swapped() bool {
	return r.ClusterID == r.Mark.ClusterID && !r.Staged && !r.Partly
}

// touched: the data in its place is not the old one, or not all of it.
func (r *Restoring) touched() bool { return r.Aside || r.Undone || r.ClusterID == r.Mark.ClusterID }

// restoring is a restore that is planned for, or finished, or undone: what all hosts' marks say.
type restoring struct {
	mark kvserver.RestoreMark
}

// markOf is the mark of one host: the one that lies there, or a new one.
func (r restoring) markOf(m *member) kvserver.RestoreMark {
	out := r.mark
	out.DataDir, out.WALDir = m.layout.Data, m.layout.WAL
	out.Was = kvserver.RestoreWas{Token: r.mark.Was.Token, ClusterID: r.mark.Was.ClusterID}
	if h := m.host.Restore; h != nil {
		out.Was = h.Mark.Was
	} else if man := m.host.Manifest; man != nil && man.ClusterID != out.ClusterID {
		out.Was = kvserver.RestoreWas{Token: man.Token, ClusterID: man.ClusterID, MemberID: man.MemberID, Begins: man.Begins}
	}
	return out
}

// UnfinishedRestore is the mark that hosts carry, one of them where several do; nil: none does.
func UnfinishedRestore(o *Observed) *kvserver.RestoreMark {
	for _, n := range sortedKeys(o.Hosts) {
		if r := o.Hosts[n].Restore; r != nil {
			return &r.Mark
		}
	}
	return nil
}

// UnfinishedText says of an unfinished restore who began it, and when.
func UnfinishedText(m *kvserver.RestoreMark) string {
	word := "a restore"
	if m.Stage.Backwards() {
		word = "the undoing of a restore"
	}
	return fmt.Sprintf("%s from %s is unfinished, begun by %s on %s", word, m.Snapshot.Name, m.By, day(m.At))
}

// unfinishedRestore holds everything while a restore is unfinished: only its own verb goes on.
func (b *builder) unfinishedRestore() {
	mark := UnfinishedRestore(b.obs)
	if mark == nil || b.plan.Verb.Restores() {
		return
	}
	var on []string
	for _, m := range b.members {
		if m.host.Restore != nil {
			on = append(on, m.Name)
		}
	}
	b.hold(Held{Reason: RestoreUnfinished, Subject: b.spec.Name, Blocks: true,
		Detail: UnfinishedText(mark) + " (" + strings.Join(on, ", ") + ")",
		WayOut: "finish it with `quorate restore --resume`, or take it back with `quorate restore --undo`"})
}

// onlyUnfinished leaves out what else seems to be wrong while data is on its way: it is the restore's own doing, and
// its way out is not theirs.
func (b *builder) onlyUnfinished() {
	i := slices.IndexFunc(b.plan.Held, func(h Held) bool { return h.Reason == RestoreUnfinished })
	if i >= 0 && !b.plan.Verb.Restores() {
		b.plan.Held, b.plan.Notes = b.plan.Held[i:i+1], nil
	}
}

// marks gives the restore that the hosts' marks are of, or holds everything where that is not one and the same,
// or its folders are not the spec's.
func (b *builder) marks() (restoring, bool) {
	var out restoring
	first := ""
	for _, m := range b.seen() {
		r := m.host.Restore
		switch {
		case r == nil:
		case r.Mark.DataDir != m.layout.Data || r.Mark.WALDir != m.layout.WAL:
			b.hold(Held{Reason: DataMoved, Subject: m.Name, Blocks: true,
				Detail: fmt.Sprintf("the restore was begun with the data in %s, the spec says %s", (Layout{Data: r.Mark.DataDir, WAL: r.Mark.WALDir}).dataPaths(), m.layout.dataPaths()),
				WayOut: "put the former data_dir and wal_dir back into the spec until the restore is finished"})
			return out, false
		case first == "":
			first, out.mark = m.Name, r.Mark
		case !r.Mark.Same(out.mark):
			b.hold(Held{Reason: RestoreUnfinished, Subject: b.spec.Name, Blocks: true,
				Detail: fmt.Sprintf("%s and %s are in different restores: run %s and run %s", first, m.Name, out.mark.Run, r.Mark.Run),
				WayOut: "find out which of the hosts hold the cluster you mean, and take the others out of the spec"})
			return out, false
		case r.Mark.Stage.Backwards():
			out.mark.Stage = r.Mark.Stage
		}
	}
	if first == "" {
		return out, false
	}
	if of := initialCluster(b.members); of != out.mark.InitialCluster {
		b.hold(Held{Reason: RestoreUnfinished, Subject: b.spec.Name, Blocks: true,
			Detail: fmt.Sprintf("the restore was begun for %s, the spec says %s", out.mark.InitialCluster, of),
			WayOut: "put the former names and addresses back into the spec until the restore is finished"})
		return out, false
	}
	return out, true
}

// otherCluster says that a snapshot is of another cluster, which may well be meant: by its metadata, or as none of its members is one of
// the spec's by name or by peer URL.
func (b *builder) otherCluster(in RestoreInput) {
	if in.Cluster != "" && in.Cluster != b.spec.Name {
		b.note("the snapshot is of cluster %q, by its metadata: its keys come in the place of those of %q", in.Cluster, b.spec.Name)
	}
	if in.Cluster != "" || len(in.Content.Members) == 0 {
		return
	}
	for _, was := range in.Content.Members {
		if slices.ContainsFunc(b.members, func(m *member) bool { return m.Name == was.Name || slices.Contains(was.PeerURLs, peerURL(m.Member)) }) {
			return
		}
	}
	b.note("the snapshot is of other members (%s): it may be another cluster's", strings.Join(texts(in.Content.Members, func(m kvserver.InspectedMember) string { return or(m.Name, m.ID) }), ", "))
}
