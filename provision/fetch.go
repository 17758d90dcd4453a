package provision

import (
	"context"
	"errors"
	"fmt"

	"quorate/plan"
)

// fetch brings the archive to this side; what came out of it is what the
// plan's other steps mean by [plan.FromArchive].
func (r *run) fetch(ctx context.Context, s plan.Step, a *plan.Fetch) (outcome, error) {
	found, err := r.session.world.Binaries.Find(a.Platform)
	if err != nil {
		return outcome{}, err
	}
	src, was := found[plan.Etcd], true
	if src.Archive != a.Archive {
		return outcome{}, errors.New("the spec names another archive than the plan was made for; plan again")
	}
	if src.Blob == nil {
		was = false
		if src, err = r.session.world.Binaries.Fetch(ctx, a.Platform, func(got, all int64) {
			r.tell(Event{Type: Progress, Step: s.ID, Title: plan.Etcd, Sent: got, Total: all})
		}); err != nil {
			return outcome{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetched[plan.FromArchive(a.Archive)] = src.Blob.Digest()
	return outcome{changed: !was, detail: fmt.Sprintf("%d MiB", src.Blob.Size()>>20)}, nil
}

// digest is the digest that the plan means: where it could name the archive only, what this run got out of it.
func (r *run) digest(planned string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if got, ok := r.fetched[planned]; ok {
		return got
	}
	return planned
}
