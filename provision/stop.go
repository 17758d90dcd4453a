package provision

import (
	"context"
	"sync/atomic"

	"quorate/plan"
	"quorate/provision/host"
)

// stop stops the units, all but the last together, and takes them out of the boot.
func (r *run) stop(ctx context.Context, _ plan.Step, a *plan.Stop) (outcome, error) {
	stopped, err := r.stopped(ctx, a)
	if err != nil || stopped {
		return outcome{}, err
	}
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

// stopped reports whether none of the units runs or is started at boot any more.
func (r *run) stopped(ctx context.Context, a *plan.Stop) (bool, error) {
	var running atomic.Bool
	err := r.each(ctx, a.Members, func(ctx context.Context, h host.Host, m plan.StartMember) error {
		look, err := h.Look(ctx, host.Query{Units: []string{m.Unit}})
		if err != nil {
			return err
		}
		if u := look.Units[m.Unit]; u.Loaded && (u.Enabled || u.Active != "inactive") {
			running.Store(true)
		}
		return nil
	})
	return !running.Load(), err
}
