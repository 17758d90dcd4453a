package provision

import (
	"context"
	"fmt"
	"time"

	"quorate/kvserver"
	"quorate/plan"
)

// promote waits until the learner has caught up, and makes it a voter.
func (r *run) promote(ctx context.Context, s plan.Step, a *plan.Promote) (outcome, error) {
	admin, err := r.session.Admin(ctx)
	if err != nil {
		return outcome{}, err
	}
	voter := a.Target
	voter.Learner = false
	after := with(a.Expect, a.Target, &voter)
	if now := r.survey(ctx, admin, a.Target); now.list == nil || !plan.Lists(now.list, after) {
		if err := r.caughtUp(ctx, admin, s, a); err != nil {
			return outcome{}, err
		}
	}
	out, err := r.reconfigure(ctx, reconfiguration{
		target: a.Target, expect: a.Expect, after: after, wait: a.Idle,
		ask: func(ctx context.Context, admin Admin, now answers, target kvserver.Member) error {
			// etcd promotes one that died after it had caught up (kvserver/reconfig.go): it has to answer now.
			if _, err := admin.Status(ctx, s.Member); err != nil {
				return fmt.Errorf("%s does not answer, and is not made a voter meanwhile: %w", s.Member, err)
			}
			_, err := admin.Promote(ctx, now.via, target.ID)
			return err
		},
	})
	if err != nil {
		return outcome{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.Idle, fmt.Errorf("%s did not serve as a voter within %s", s.Member, a.Idle))
	defer cancel()
	voters := 0
	for _, m := range after {
		if !m.Learner {
			voters++
		}
	}
	return out, r.until(ctx, s.Member, func() error {
		_, err := r.healthy(ctx, admin, s.Member, voters)
		return err
	})
}

// catchUpPause is how long it takes between two looks at how far a learner is: two of them are within a second of writes.
const catchUpPause = 100 * time.Millisecond

// caughtUp waits until the learner has applied, twice in a row, what the leader had committed just before. It is
// waited for as long as it comes nearer.
func (r *run) caughtUp(ctx context.Context, admin Admin, s plan.Step, a *plan.Promote) error {
	idle := r.idle(s, s.Member, a.Idle)
	for near := 0; near < 2; {
		var learner kvserver.Status
		now := r.survey(ctx, admin, a.Target)
		goal, err := committed(now)
		if err == nil {
			one, cancel := context.WithTimeout(ctx, apiTimeout)
			learner, err = admin.Status(one, s.Member)
			cancel()
		}
		switch {
		case err == nil && learner.RaftAppliedIndex >= goal:
			if near++; near == 2 {
				return nil
			}
		default:
			near = 0
		}
		state := fmt.Sprintf("at applied index %d, and the leader has committed %d", learner.RaftAppliedIndex, goal)
		if err != nil {
			state = "not to be compared with the leader: " + err.Error()
		}
		if gone := r.session.alive(s.Member); gone != nil {
			return gone
		}
		if !idle.moves(ctx, learner.RaftAppliedIndex, state) {
			return fmt.Errorf("%s has not come nearer for %s: it is %s%s", s.Member, a.Idle, state, r.cutPeers(ctx, s.Member))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(catchUpPause):
		}
	}
	return nil
}

// committed is what the leader has committed, as far as it says so itself. Where it cannot be asked (the connection with
// its host is gone), it is the most of what voters who answer know of: they learn of it with the leader's next message.
func committed(now answers) (uint64, error) {
	most := uint64(0)
	for _, st := range now.voters() {
		if st.Leader == st.MemberID {
			return st.RaftIndex, nil
		}
		most = max(most, st.RaftIndex)
	}
	if most == 0 {
		return 0, fmt.Errorf("no voter says what is committed: %w", now.err)
	}
	return most, nil
}
