package provision

import (
	"context"
	"fmt"
	"time"

	"quorate/plan"
)

// attendPause is how long it takes between two looks at how far a long call of a member's is.
const attendPause = 2 * time.Second

// attended makes a call of a member's that takes as long as its database does. It is waited for as long as something of
// it is seen to grow, and not by the clock: seen gives a number, and a state in words that follow "is". Nobody ends what the
// member does: where the waiting ends, it goes on by itself.
func (r *run) attended(ctx context.Context, s plan.Step, member string, limit time.Duration, seen func(context.Context) (uint64, string), call func(context.Context) error) error {
	calling, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- call(calling) }()
	stop := func(why error) error { cancel(); <-done; return why }
	idle := r.idle(s, member, limit)
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return stop(context.Cause(ctx))
		case <-time.After(min(attendPause, limit/4)):
		}
		if gone := r.session.alive(member); gone != nil {
			return stop(gone)
		}
		if n, state := seen(ctx); ctx.Err() == nil && !idle.moves(ctx, n, state) {
			return stop(fmt.Errorf("%s is %s, and nothing has moved for %s; it may go on by itself: look at it (quorate status), then run again", member, state, limit))
		}
	}
}

// surveyed is what the members say, and an error unless somebody gives their list and no data differs: what is done to all of
// them at once begins with it.
func (r *run) surveyed(ctx context.Context) (Admin, answers, error) {
	admin, err := r.session.Admin(ctx)
	if err != nil {
		return nil, answers{}, err
	}
	now := r.survey(ctx, admin, plan.Ref{})
	if now.list == nil {
		return nil, now, fmt.Errorf("no member gives the list of members: %w", now.err)
	}
	return admin, now, sound(now.status, "")
}
