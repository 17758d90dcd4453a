package provision

import (
	"context"

	"quorate/plan"
	"quorate/provision/host"
)

// aside stops a unit that never served and moves its data out of the way.
func (r *run) aside(ctx context.Context, h host.Host, s plan.Step, a *plan.Aside) (outcome, error) {
	if _, err := h.Service(ctx, host.ServiceRequest{Unit: a.Unit, Verb: "stop", Wait: plan.StopWait}); err != nil {
		return outcome{}, err
	}
	moved, err := setAside(ctx, h, a.Dirs, a.Name)
	return outcome{changed: moved}, err
}

// setAside moves what a member keeps in folders aside, below each of them. What
// an earlier, interrupted run has moved is there already.
func setAside(ctx context.Context, h host.Host, dirs []string, name string) (moved bool, err error) {
	for _, d := range dirs {
		out, err := h.Aside(ctx, host.AsideRequest{Dir: d, Name: name, Only: plan.MemberEntries()})
		if err != nil {
			return moved, err
		}
		moved = moved || len(out.Moved) > 0
	}
	return moved, nil
}
