package provision

import (
	"context"

	"quorate/kvserver"
	"quorate/plan"
)

// add has a voter that serves list the newcomer as a learner.
func (r *run) add(ctx context.Context, _ plan.Step, a *plan.Add) (outcome, error) {
	learner := a.Target
	learner.Learner = true
	return r.reconfigure(ctx, reconfiguration{
		target: a.Target, expect: a.Expect, after: with(a.Expect, a.Target, &learner), wait: a.Wait,
		ask: func(ctx context.Context, admin Admin, now answers, _ kvserver.Member) error {
			_, _, err := admin.AddLearner(ctx, now.via, a.Target.PeerURLs)
			return short(err, now, a.Needs)
		},
	})
}
