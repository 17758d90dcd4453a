package plan

import (
	"path"
	"slices"
)

// KindUnmark ends a restore on a host.
const KindUnmark Kind = "unmark"

// Unmark removes what a restore has left of its own, and its mark last. Holds afterwards: neither is there; what was moved
// aside stays.
type Unmark struct {
	quiet
	Entries  []RemoveEntries `json:"entries"` // staging folders
	Snapshot string          `json:"snapshot"`
	Path     string          `json:"path"` // the mark
}

// Kind of the step.
func (*Unmark) Kind() Kind { return KindUnmark }

// Phase of the step.
func (*Unmark) Phase() Phase { return PhaseRemove }

// Describe names the mark.
func (a *Unmark) Describe() Description {
	return Description{Sign: Gone, Items: []Item{{Path: a.Path, Sign: Gone, Problem: "removed"}}}
}

// unmark adds the step, the last one, to all hosts.
func (b *builder) unmark(of restoring) {
	var after []string
	for _, s := range b.steps {
		after = append(after, s.ID)
	}
	for _, m := range b.members {
		l, mark := m.layout, of.markOf(m)
		a := &Unmark{Path: l.Restore, Snapshot: sentSnapshot(l, mark)}
		if d := mark.Snapshot.Disk; d != nil && d.Member == m.Name {
			work := replayWork(l, mark)
			a.Entries = append(a.Entries, RemoveEntries{Dir: path.Dir(work), Names: []string{path.Base(work)}})
		}
		for _, dir := range []string{l.Data, l.WAL} {
			if dir != "" {
				a.Entries = append(a.Entries, RemoveEntries{Dir: dir, Names: []string{mark.Staging()}})
			}
		}
		b.add(draft{after: slices.Clone(after), Step: Step{Member: m.Name, Title: "end the restore on " + m.Name, Action: a}})
	}
}
