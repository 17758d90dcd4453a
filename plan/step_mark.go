package plan

import (
	"quorate/kvserver"
)

// KindMark notes on a host that its cluster is being restored.
const KindMark Kind = "mark"

// MarkRestore writes a host's restore.json. Holds afterwards: it says this, and `kvserver serve` starts only what it allows.
type MarkRestore struct {
	quiet
	Path  string               `json:"path"`
	Owner string               `json:"owner,omitempty"`
	Mark  kvserver.RestoreMark `json:"mark"`
}

// Kind of the step.
func (*MarkRestore) Kind() Kind { return KindMark }

// Phase of the step: before anything else on any host.
func (*MarkRestore) Phase() Phase { return PhasePrepare }

// Describe names the file.
func (a *MarkRestore) Describe() Description {
	return Description{Sign: New, Items: []Item{{Path: a.Path, Sign: New, Note: "until the restore is finished or undone, nothing but that starts a member here"}}}
}

// mark adds the step to each of these hosts.
func (b *builder) mark(of restoring, stage kvserver.RestoreStage, hosts []*member) {
	for _, m := range hosts {
		mark := of.markOf(m)
		mark.Stage = stage
		b.add(draft{Step: Step{Member: m.Name, Title: "note on " + m.Name + " that a restore is under way",
			Action: &MarkRestore{Path: m.layout.Restore, Owner: b.rootOwner(m), Mark: mark}}})
	}
}
