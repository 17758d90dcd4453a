package posix

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"quorate/provision/host"
)

// moveStalled is how long a copy may stand still: as long as comparing it takes, which tells of nothing. Two
// readings of 100 GB at 150 MB/s are 22 minutes.
const moveStalled = 30 * time.Minute

// Move implements host.Host: one run of move.sh. It may take as long as it goes on.
func (h *Host) Move(ctx context.Context, r host.MoveRequest) (m host.Moved, err error) {
	defer saying(&err, "cannot move %s to %s on host %q", r.From.Path(), r.To.Path(), h.o.Name)
	defer noSpace(&err)
	if err := errors.Join(h.changing(), checkPath(r.From.Dir), checkPath(r.To.Dir), r.Check()); err != nil {
		return m, err
	}
	for _, t := range []host.Tree{r.From, r.To} {
		if slices.Contains(systemTrees, t.Dir) || slices.Contains(systemTrees, t.Path()) {
			return m, fmt.Errorf("the folder %s is the system's own", t.Dir)
		}
	}
	how := "do"
	if r.Try {
		how = "try"
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done atomic.Int64
	go watch(ctx, moveStalled, done.Load, cancel)
	request := framed([]string{r.From.Dir, r.From.Name, r.To.Dir, r.To.Name, r.Keep, how})
	body, err := h.talk(ctx, "move", moveScript, strings.NewReader(request), func(line string) {
		var n, total int64
		if _, err := fmt.Sscanf(line, "%d\t%d", &n, &total); err != nil {
			return // it is for people only
		}
		done.Store(n)
		if r.Progress != nil {
			r.Progress(min(n, total), total)
		}
	})
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(body)) {
		word, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		switch how := host.How(word); {
		case slices.Contains([]host.How{host.WasThere, host.Renamed, host.Copied}, how) && value == "" && m.How == "":
			m.How = how
		case word == "aside" && strings.HasSuffix(value, "/"+path.Join(host.AsideDir, r.Keep, path.Base(r.From.Name))):
			m.Aside = value
		default:
			return m, fmt.Errorf("cannot understand the answer %q", line)
		}
	}
	if m.How == "" {
		return m, errors.New("the answer does not tell what was done")
	}
	return m, nil
}
