package plan

import (
	"fmt"
	"path"
	"slices"

	"quorate/kvserver"
)

// KindReplay makes a snapshot of all that a member's disk holds.
const KindReplay Kind = "replay"

// Replay makes a snapshot of the data of a member that does not run, with everything that is in its log, and brings it to
// this side where other hosts need it. The data is only read. Holds afterwards: the snapshot lies in the place in which the
// host's own new data is made from it, and none of the other disks goes further than the one that was chosen.
type Replay struct {
	quiet
	Disk ReplayDisk `json:"disk"`
	// Others are those that did not go further than it when it was chosen.
	Others []ReplayDisk `json:"others,omitempty"`
	// Folder is made, and is root's; Work is made in it and removed again, Snapshot stays.
	Folder   string `json:"folder"`
	Root     string `json:"root,omitempty"` // who owns them
	Work     string `json:"work"`
	Snapshot string `json:"snapshot"`
	// Fetch: other hosts are to have it too.
	Fetch bool                 `json:"fetch,omitempty"`
	Quota int64                `json:"quota"` // bytes: what the members' databases may have
	Mark  kvserver.RestoreMark `json:"mark"`
}

// ReplayDisk is where a member's data is, and the program there that reads it.
type ReplayDisk struct {
	Member   string `json:"member"`
	KVServer string `json:"kvserver"`
	Data     string `json:"data"`
	WAL      string `json:"wal,omitempty"` // "" where the log is inside the data
}

// Kind of the step.
func (*Replay) Kind() Kind { return KindReplay }

// Phase of the step: nobody runs any more.
func (*Replay) Phase() Phase { return PhaseSwap }

// Hosts beside the one whose data it is: they are looked at.
func (a *Replay) Hosts() []string {
	return texts(a.Others, func(d ReplayDisk) string { return d.Member })
}

// Describe names what is read and what is made.
func (a *Replay) Describe() Description {
	return Description{Sign: New, Items: []Item{{Path: a.Snapshot, Sign: New, Note: fmt.Sprintf("of all that is in %s, which is only read; for as long as the new data is made", a.Disk.Data)}}}
}

// replay adds the step, before any data is made of what it gives.
func (b *builder) replay(of restoring) {
	from := of.mark.Snapshot.Disk
	if from == nil {
		return
	}
	m := b.called(from.Member)
	if m == nil {
		b.hold(Held{Reason: RestoreUnfinished, Subject: from.Member, Blocks: true, Detail: "the recovery is from its disk, and it takes no part in it", WayOut: "quorate restore --undo, then recover again"})
		return
	}
	l, mark := m.layout, of.markOf(m)
	a := &Replay{Disk: b.replayDisk(m), Folder: l.Backups, Root: b.rootOwner(m), Work: replayWork(l, mark), Snapshot: sentSnapshot(l, mark), Fetch: len(b.members) > 1, Quota: b.quota(), Mark: mark}
	chosen := LogEnd{from.LastTerm, from.LastIndex}
	for _, o := range b.members {
		if end, known := b.logEnd(o, from.ClusterID); o != m && known && end.Compare(chosen) <= 0 {
			a.Others = append(a.Others, b.replayDisk(o))
		}
	}
	b.add(draft{after: slices.Concat(b.ids(KindMark), b.ids(KindStop)), Step: Step{Member: m.Name, Title: "make a snapshot of all that reached the disk of " + m.Name, Action: a}})
}

// logEnd is where the log on a member's disk was seen to end, of a cluster.
func (b *builder) logEnd(m *member, cluster string) (LogEnd, bool) {
	if b.sources != nil {
		d := b.sources.Of(m.Name)
		return d.LogEnd, d.ClusterID == cluster && d.Index > 0
	}
	if d := m.host.disk(); d != nil && d.Log != nil {
		return LogEnd{d.Log.LastTerm, d.Log.LastIndex}, d.ClusterID == cluster
	}
	return LogEnd{}, false
}

func (b *builder) replayDisk(m *member) ReplayDisk {
	return ReplayDisk{Member: m.Name, KVServer: m.layout.KVServer, Data: m.layout.Data, WAL: m.layout.WALFiles}
}

// sentSnapshot is where the snapshot lies on a host while its new data is made; replayWork is where one is made of a disk.
func sentSnapshot(l Layout, m kvserver.RestoreMark) string {
	return path.Join(l.Backups, m.Staging()+".db")
}

func replayWork(l Layout, m kvserver.RestoreMark) string {
	return path.Join(l.Backups, m.Staging()+".replay")
}
