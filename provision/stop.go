package provision

import (
	"context"

	"quorate/plan"
	"quorate/provision/host"
)

// stop stops the units, all but the last together, and takes them out of the boot.
func (r *run) stop(ctx context.Context, a *plan.Stop) (outcome, error) {
	down := func(ctx context.Context, h host.Host, m plan.StartMember) error {
		_, err := h.Service(ctx, host.ServiceRequest{Unit: m.Unit, Disable: true, Verb: "stop", Wait: a.Wait})
		return err
	}
	last := len(a.Members) - 1
	if err := r.each(ctx, a.Members[:last], down); err != nil {
		return outcome{}, err
	}
	return outcome{changed: true}, r.each(ctx, a.Members[last:], down)
}
