package provision

import (
	"context"

	"quorate/plan"
)

// endpoints writes on this side where the members serve.
func (r *run) endpoints(_ context.Context, _ plan.Step, a *plan.Endpoints) (outcome, error) {
	changed, err := r.session.world.Authority.WriteEndpoints(a.Path, a.Content)
	return outcome{changed: changed}, err
}
