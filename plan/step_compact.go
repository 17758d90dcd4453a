package plan

import (
	"fmt"
	"time"

	"quorate/plan/spec"
)

// KindCompact drops history of the keys.
const KindCompact Kind = "compact"

// Compaction drops the history before a revision on all members, through one that serves. Holds afterwards: what lies before
// it cannot be read any more, and the voters that answer have deleted what that frees. It takes nobody away.
type Compaction struct {
	quiet
	// Revision to compact to: it can be read still, and so can all after it.
	Revision int64 `json:"revision"`
	// Idle bounds how long a member may delete without freeing anything, see [idleOf].
	Idle time.Duration `json:"idle"`
}

// Kind of the step.
func (*Compaction) Kind() Kind { return KindCompact }

// Phase of the step.
func (*Compaction) Phase() Phase { return PhaseCompact }

// Describe has nothing to add to the title and the reasons.
func (*Compaction) Describe() Description { return Description{Sign: Gone} }

// BuildCompact plans that the history of the keys is dropped but for the last keep revisions.
func BuildCompact(c *spec.Cluster, o *Observed, opt Options, keep int64) (*Plan, error) {
	b, err := begin(Compact, c, o, opt)
	if err != nil {
		return nil, err
	}
	if b.maintainable() {
		b.compact(keep, false)
	}
	return b.finish()
}

// revision is the newest one that a member that serves has applied. Members tell their own, so it is one that all of
// them come to.
func (b *builder) revision() int64 {
	newest := int64(0)
	for _, s := range b.served() {
		newest = max(newest, s.status.Revision)
	}
	return newest
}

// compact adds the step, and gives its ID; "" where all that is to go has gone, which is said. again has it wait once
// more for what has gone already: a run that was cut may have left members deleting.
func (b *builder) compact(keep int64, again bool) string {
	newest, largest := b.revision(), int64(0)
	for _, s := range b.served() {
		largest = max(largest, s.status.DBSize)
	}
	target, done := newest-keep, max(b.obs.Cluster.Storage.Compacted, 1)
	so := "nothing of it has been compacted yet"
	if done > 1 {
		so = fmt.Sprintf("it is compacted up to %d", done)
	}
	why := fmt.Sprintf("the newest is %d, and %s; the last %d are kept", newest, so, keep)
	switch {
	case target <= done && (!again || done == 1):
		b.note("the newest revision is %d and %s: the history is no longer than the %d revisions to keep", newest, so, keep)
		return ""
	case target <= done:
		target, why = done, so+" already: it is waited for those who still delete what that frees"
	default:
		b.note("who reads or watches from before revision %d is told \"compacted\" from then on, and begins anew (kube-apiserver does so by itself)", target)
	}
	b.add(draft{Step: Step{Title: fmt.Sprintf("compact up to revision %d", target), Reasons: []string{why}, Action: &Compaction{Revision: target, Idle: idleOf(largest)}}})
	return b.steps[len(b.steps)-1].ID
}
