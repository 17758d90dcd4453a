package provision

import (
	"context"

	"quorate/plan"
)

// What happens on the operator's side only: the CA, clients' certificates, their removal.

func (r *run) createCA(_ context.Context, _ plan.Step, a *plan.CreateCA) (outcome, error) {
	ca, err := r.session.world.Authority.Look()
	if err != nil || ca.Exists {
		return outcome{}, err
	}
	return outcome{changed: true}, r.session.world.Authority.Create(a)
}

func (r *run) issueClient(ctx context.Context, _ plan.Step, a *plan.IssueClient) (outcome, error) {
	return outcome{changed: true}, r.session.world.Authority.IssueClient(ctx, a)
}

func (r *run) forget(_ context.Context, _ plan.Step, a *plan.Forget) (outcome, error) {
	return outcome{changed: true}, r.session.world.Authority.Forget(a)
}

func (r *run) unrecord(_ context.Context, _ plan.Step, a *plan.Unrecord) (outcome, error) {
	have, err := r.session.world.Authority.Recorded()
	if err == nil && have == nil {
		return outcome{}, nil
	}
	return outcome{changed: true}, r.session.world.Authority.Forget(&plan.Forget{Files: []string{a.Path}})
}

func (r *run) encryptCA(context.Context, plan.Step, *plan.EncryptCA) (outcome, error) {
	changed, err := r.session.world.Authority.Encrypt()
	return outcome{changed: changed}, err
}
