package provision

import (
	"context"
	"slices"

	"quorate/plan"
	"quorate/provision/host"
)

// remove moves what is kept aside, deletes the rest, and has the service
// manager forget the unit.
func (r *run) remove(ctx context.Context, h host.Host, s plan.Step, a *plan.Remove) (outcome, error) {
	moved, err := setAside(ctx, h, a.Aside, a.AsideName)
	if err != nil {
		return outcome{}, err
	}
	for _, unit := range a.Stop {
		if _, err := h.Service(ctx, host.ServiceRequest{Unit: unit, Disable: true, Verb: "stop", Wait: plan.StopWait}); err != nil {
			return outcome{}, err
		}
	}
	req := host.RemoveRequest{Files: slices.Concat(a.Files, a.Folders)}
	for _, e := range a.Entries {
		req.Entries = append(req.Entries, host.Entries{Dir: e.Dir, Names: e.Names})
	}
	gone, err := h.Remove(ctx, req)
	if err != nil {
		return outcome{}, err
	}
	if a.Unit != "" {
		if _, err := h.Service(ctx, host.ServiceRequest{Unit: a.Unit, Reload: true}); err != nil {
			return outcome{}, err
		}
	}
	return outcome{changed: moved || len(gone) > 0}, nil
}
