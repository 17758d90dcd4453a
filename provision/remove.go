package provision

import (
	"context"

	"quorate/plan"
	"quorate/provision/host"
)

// remove moves what is kept aside, deletes the rest, and has the service
// manager forget the unit. A move that an earlier, interrupted run made is not in the plan any more.
func (r *run) remove(ctx context.Context, s plan.Step, a *plan.Remove) (outcome, error) {
	h, err := r.session.Host(ctx, s.Member)
	if err != nil {
		return outcome{}, err
	}
	for _, m := range a.Move {
		if err := h.Move(ctx, m.From, m.To); err != nil {
			return outcome{}, err
		}
	}
	gone, err := h.Remove(ctx, host.RemoveRequest{Files: a.Files, Trees: a.Trees})
	if err != nil {
		return outcome{}, err
	}
	if a.Unit != "" {
		if _, err := h.Service(ctx, host.ServiceRequest{Unit: a.Unit, Reload: true}); err != nil {
			return outcome{}, err
		}
	}
	return outcome{changed: len(gone)+len(a.Move) > 0}, nil
}
