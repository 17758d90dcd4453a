package provision

import (
	"context"
	"fmt"
	"time"

	"quorate/plan"
)

// leaderWait bounds how long a member may take to lead after the leader has said that it handed over.
const leaderWait = 10 * time.Second

// MoveLeader has the leader hand over, as was decided, and returns once the
// other one leads. The caller holds the lock. It is not tried again: an error
// says that somebody else may lead by now, or the same one still.
func (s *Session) MoveLeader(ctx context.Context, h plan.Handover) error {
	ctx, cancel := context.WithTimeoutCause(ctx, leaderWait, fmt.Errorf("it does not lead after %s", leaderWait))
	defer cancel()
	admin, err := s.Admin(ctx)
	if err != nil {
		return err
	}
	if err := admin.MoveLeader(ctx, h.From, h.To); err != nil {
		return err
	}
	for {
		st, err := admin.Status(ctx, h.From)
		if err == nil && st.Leader == h.To {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
