package provision

import (
	"context"

	"quorate/plan"
	"quorate/provision/host"
)

// stop stops the units together and takes them out of the boot.
func (r *run) stop(ctx context.Context, a *plan.Stop) (outcome, error) {
	err := r.each(ctx, a.Members, func(ctx context.Context, h host.Host, m plan.StartMember) error {
		_, err := h.Service(ctx, host.ServiceRequest{Unit: m.Unit, Disable: true, Verb: "stop", Wait: a.Wait})
		return err
	})
	return outcome{changed: true}, err
}
