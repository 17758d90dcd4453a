package provision

import (
	"context"
	"fmt"

	"quorate/plan"
	"quorate/provision/host"
)

// relocate moves a member's data while it is stopped. That it can be done is found out before anybody is stopped.
func (r *run) relocate(ctx context.Context, h host.Host, s plan.Step, a *plan.Relocate) (outcome, error) {
	for _, m := range a.Moves {
		if _, err := h.Move(ctx, host.MoveRequest{From: m.From, To: m.To, Keep: a.Keep, Try: true}); err != nil {
			return outcome{}, err
		}
	}
	move := func(ctx context.Context, h host.Host) error { return r.move(ctx, h, s, a) }
	if a.Restart != nil {
		return r.away(ctx, s, a.Restart, interlude{before: a.Update, stopped: move})
	}
	look, err := h.Look(ctx, host.Query{Units: []string{a.Unit}})
	if err != nil {
		return outcome{}, err
	}
	if look.Units[a.Unit].Active == "active" {
		return outcome{}, fmt.Errorf("%s did not run when this was planned, and serves now: plan again", s.Member)
	}
	if _, err := h.Service(ctx, host.ServiceRequest{Unit: a.Unit, Verb: "stop", Wait: plan.StopWait}); err != nil {
		return outcome{}, err
	}
	return outcome{changed: true}, move(ctx, h)
}

// move moves each tree; those that an earlier run has moved are passed over.
func (r *run) move(ctx context.Context, h host.Host, s plan.Step, a *plan.Relocate) error {
	for _, m := range a.Moves {
		if _, err := h.Move(ctx, host.MoveRequest{From: m.From, To: m.To, Keep: a.Keep, Progress: func(done, total int64) {
			r.tell(Event{Type: Progress, Step: s.ID, Title: m.From.Path(), Member: s.Member, Sent: done, Total: total})
		}}); err != nil {
			return err
		}
	}
	return nil
}
