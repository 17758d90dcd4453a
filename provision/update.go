package provision

import (
	"context"

	"quorate/kvserver"
	"quorate/plan"
)

// update has the cluster list a member at its new address and, where it serves, restarts it there.
func (r *run) update(ctx context.Context, s plan.Step, a *plan.Update) (outcome, error) {
	if a.Restart == nil {
		return r.readdress(ctx, a)
	}
	return r.away(ctx, s, a.Restart, interlude{before: a})
}

// readdress changes a member's peer URLs as they are listed. Who it is about is not asked, unless there is no other voter.
func (r *run) readdress(ctx context.Context, a *plan.Update) (outcome, error) {
	moved := a.Target
	moved.PeerURLs = a.PeerURLs
	voters := 0
	for _, m := range a.Expect {
		if !m.Learner {
			voters++
		}
	}
	return r.reconfigure(ctx, reconfiguration{
		target: a.Target, expect: a.Expect, after: with(a.Expect, a.Target, &moved), wait: a.Wait, alone: voters == 1,
		ask: func(ctx context.Context, admin Admin, now answers, target kvserver.Member) error {
			_, err := admin.Update(ctx, now.via, target.ID, a.PeerURLs)
			return err
		},
	})
}
