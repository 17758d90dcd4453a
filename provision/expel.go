package provision

import (
	"context"
	"fmt"

	"quorate/kvserver"
	"quorate/plan"
)

// expel takes a member out of the list. One that serves goes only while all others serve too; if it leads, it
// hands over first.
func (r *run) expel(ctx context.Context, _ plan.Step, a *plan.Expel) (outcome, error) {
	moved := ""
	out, err := r.reconfigure(ctx, reconfiguration{
		target: a.Target, expect: a.Expect, after: with(a.Expect, a.Target, nil), wait: a.Wait,
		ask: func(ctx context.Context, admin Admin, now answers, target kvserver.Member) error {
			voters := now.voters()
			name := now.named(target.ID)
			if st, serves := voters[name]; serves {
				if !a.Answers {
					return fmt.Errorf("%w: %s serves again, and is expelled since it did not", errOther, a.Target)
				}
				if n := votersIn(now.list); len(voters) < n {
					return fmt.Errorf("%w: %d of %d voters are healthy, and one that serves is expelled only while all are: %w", errQuorum, len(voters), n, now.err)
				}
				if err := sound(voters, name); err != nil {
					return err
				}
				if st.Leader == st.MemberID {
					m, err := handOver(ctx, admin, name, voters)
					if err != nil {
						return err
					}
					moved = m
				}
			}
			_, err := admin.Remove(ctx, now.via, target.ID)
			return short(err, now, kvserver.VotersToRemove(votersIn(now.list)))
		},
	})
	out.detail = moved
	return out, err
}
