package posix

import (
	"context"
	"fmt"
	"time"
)

// stalled is how long an upload or a download may stand still: the host compares, or makes durable what came, a disk
// is slow, or nothing comes through. How long it takes altogether is not bounded: that depends on the file.
const stalled = 5 * time.Minute

// watch gives up what stands still: moved, asked once every limit, counts what has moved so far. It ends with ctx.
func watch(ctx context.Context, limit time.Duration, moved func() int64, giveUp context.CancelCauseFunc) {
	tick := time.NewTicker(limit)
	defer tick.Stop()
	for last := int64(-1); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n := moved()
		if n == last {
			giveUp(fmt.Errorf("nothing has moved for %s", limit))
			return
		}
		last = n
	}
}
