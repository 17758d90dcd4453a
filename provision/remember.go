package provision

import (
	"context"
	"errors"
	"fmt"

	"quorate/kvserver"
	"quorate/plan"
)

// remember writes down what a quorum lists now.
func (r *run) remember(ctx context.Context, _ plan.Step, a *plan.Remember) (outcome, error) {
	admin, err := r.session.Admin(ctx)
	if err != nil {
		return outcome{}, err
	}
	rec := a.Recorded
	var errs []error
	for _, m := range r.session.cluster.Members {
		ask, cancel := context.WithTimeout(ctx, apiTimeout)
		answer := askThrough(ask, admin, m.Name)
		cancel()
		if answer.Asked != plan.Answered {
			errs = append(errs, fmt.Errorf("%s: %s", m.Name, answer.Problem))
			continue
		}
		rec.ClusterID, rec.Members, rec.At = kvserver.ID(answer.Status.ClusterID), plan.RecordedMembers(answer.Members), r.begun.UTC()
		changed, err := r.session.world.Authority.Remember(a.Path, &rec)
		return outcome{changed: changed}, err
	}
	return outcome{}, fmt.Errorf("no member could say who the cluster's members are: %w", errors.Join(errs...))
}
