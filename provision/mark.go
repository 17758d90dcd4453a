package provision

import (
	"context"

	"quorate/plan"
	"quorate/provision/host"
)

// mark notes on a host how far the restore of its cluster is.
func (r *run) mark(ctx context.Context, h host.Host, _ plan.Step, a *plan.MarkRestore) (outcome, error) {
	changed, err := h.Write(ctx, host.WriteRequest{Files: []host.File{{Path: a.Path, Mode: 0o644, Owner: a.Owner, Content: a.Mark.Encode()}}})
	if err != nil {
		return outcome{}, err
	}
	out := outcome{}
	for _, c := range changed {
		out.changed = out.changed || c.Changed
	}
	return out, nil
}
