package provision

import (
	"context"

	"quorate/plan"
	"quorate/provision/host"
)

// unmark removes what the restore has left of its own, and then its mark.
func (r *run) unmark(ctx context.Context, h host.Host, _ plan.Step, a *plan.Unmark) (outcome, error) {
	var q host.RemoveRequest
	for _, e := range a.Entries {
		q.Entries = append(q.Entries, host.Entries{Dir: e.Dir, Names: e.Names})
	}
	q.Files = []string{a.Snapshot, a.Path}
	gone, err := h.Remove(ctx, q)
	return outcome{changed: len(gone) > 0}, err
}
