package provision

import (
	"context"
	"fmt"

	"quorate/kvserver"
	"quorate/plan"
)

// defragment has one member write its database anew: only while every voter is healthy, after moving leadership to another one,
// and done only once the member has caught up.
func (r *run) defragment(ctx context.Context, s plan.Step, a *plan.Defragment) (outcome, error) {
	admin, err := r.session.Admin(ctx)
	if err != nil {
		return outcome{}, err
	}
	h, err := r.session.Host(ctx, s.Member)
	if err != nil {
		return outcome{}, err
	}
	st, err := r.ownWord(ctx, admin, s.Member)
	switch {
	case err != nil:
		return outcome{}, fmt.Errorf("%s does not serve: %w", s.Member, err)
	case !a.Target.Is(kvserver.Member{ID: st.MemberID}):
		return outcome{}, fmt.Errorf("%w: %s serves as member %x, and not as %s", errOther, s.Member, st.MemberID, a.Target.ID)
	case a.Rule != nil && !a.Rule.Over(st.DBSize, st.DBSizeInUse):
		return outcome{detail: plan.DatabaseSize(st.DBSize, st.DBSizeInUse)}, nil
	}
	peers, err := r.allHealthy(ctx, admin, a.Voters)
	if err != nil {
		return outcome{}, err
	}
	moved, err := handOver(ctx, admin, s.Member, peers)
	if err != nil {
		return outcome{}, err
	}
	seen := func(ctx context.Context) (uint64, string) {
		kib := r.stored(ctx, h, s.Member)
		return kib, fmt.Sprintf("writing its database anew, with %s on its disk", plan.Bytes(int64(kib)<<10))
	}
	if err := r.attended(ctx, s, s.Member, a.Idle, seen, func(ctx context.Context) error { return admin.Defragment(ctx, s.Member) }); err != nil {
		return outcome{}, err
	}
	back, cancel := context.WithTimeoutCause(ctx, a.Wait, fmt.Errorf("%s did not serve within %s of its defragmentation", s.Member, a.Wait))
	defer cancel()
	var after kvserver.Status
	if err := r.backWith(back, admin, s.Member, a.Voters, peers, func(now kvserver.Status) error { after = now; return nil }); err != nil {
		return outcome{}, err
	}
	detail := plan.Bytes(st.DBSize) + " → " + plan.Bytes(after.DBSize)
	if moved != "" {
		detail = moved + "; " + detail
	}
	return outcome{changed: true, detail: detail}, nil
}

// ownWord is what a member says of itself.
func (r *run) ownWord(ctx context.Context, admin Admin, member string) (kvserver.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return admin.Status(ctx, member)
}
