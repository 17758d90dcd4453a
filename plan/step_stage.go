package plan

import (
	"fmt"
	"path"

	"quorate/kvserver"
)

// KindStage makes a member's new data beside what it serves from.
const KindStage Kind = "stage"

// Stage sends the snapshot to a host and makes the member's new data of it, inside its folders, so that a rename puts it
// in its place. Nothing that serves is touched. Holds afterwards: what is staged is whole, durable, and of the new
// cluster's ids and revision; the snapshot is gone from the host.
type Stage struct {
	quiet
	KVServer string `json:"kvserver"`
	// Snapshot is where it lies on the host meanwhile, in Folder, which is made; both are root's.
	Snapshot string `json:"snapshot"`
	Folder   string `json:"folder"`
	Root     string `json:"root,omitempty"` // who owns them
	// Data and WAL are made; WAL "" where the log is inside the data.
	Data string `json:"data"`
	WAL  string `json:"wal,omitempty"`
	// Owner of what is made, "" for whoever makes it; Server is the version of the etcd that is to run on it.
	Owner  string               `json:"owner,omitempty"`
	Server string               `json:"server"`
	Mark   kvserver.RestoreMark `json:"mark"`
}

// Kind of the step.
func (*Stage) Kind() Kind { return KindStage }

// Phase of the step: where it is made of a disk, nobody runs any more.
func (a *Stage) Phase() Phase {
	if a.Mark.Snapshot.Disk != nil {
		return PhaseSwap
	}
	return PhaseStage
}

// Describe names what is made.
func (a *Stage) Describe() Description {
	note := "of " + a.Mark.Snapshot.Name
	if a.Mark.Snapshot.Disk == nil {
		note = fmt.Sprintf("%s, %s; the members serve on", note, Bytes(a.Mark.Snapshot.Size))
	}
	d := Description{Sign: New, Items: []Item{{Path: a.Data, Sign: New, Note: note}}}
	if a.WAL != "" {
		d.Items = append(d.Items, Item{Path: a.WAL, Sign: New})
	}
	return d
}

// stage makes the new data on hosts that lack it.
func (b *builder) stage(of restoring, hosts []*member) {
	for _, m := range hosts {
		l, mark := m.layout, of.markOf(m)
		a := &Stage{KVServer: l.KVServer, Folder: l.Backups, Snapshot: sentSnapshot(l, mark), Root: b.rootOwner(m),
			Data: path.Join(l.Data, mark.Staging()), Server: b.servedVersion(m), Mark: mark}
		if l.WAL != "" {
			a.WAL = path.Join(l.WAL, mark.Staging(), "wal")
		}
		if !local(m.Member) {
			a.Owner = m.host.Manifest.User
		}
		b.add(draft{after: b.ids(KindReplay), Step: Step{Member: m.Name, Title: "make the new data of " + m.Name, Action: a}})
	}
}

// servedVersion is that of the etcd that a member's host has.
func (b *builder) servedVersion(m *member) string {
	if man := m.host.Manifest; man != nil && man.Version != "" {
		return man.Version
	}
	return b.serving(m).Version
}
