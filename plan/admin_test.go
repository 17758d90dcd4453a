package plan_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/admintest"
	"quorate/plan"
)

// TestModelOfMembers: what the judge takes for members answers as members do; the client of the
// real API passes the same suite beside real ones, and so does the model that package provision is tested with.
func TestModelOfMembers(t *testing.T) {
	t.Parallel()
	r := &reality{world: bare(cluster(t, 3)), lag: map[string]int{}, down: map[string]bool{}}
	r.settled(t)
	c := &client{r: r}
	admintest.Suite(t, admintest.Subject{
		Admin: c, Names: []string{"etcd1", "etcd2", "etcd3"}, Wait: 5 * time.Second,
		Stop:  func(name string) { c.with(func(r *reality) { r.stop(r.seat(name)) }) },
		Start: func(name string) { c.with(func(r *reality) { r.start(r.seat(name)) }) },
	})
}

// client asks the members of a reality.
type client struct {
	mu sync.Mutex
	r  *reality
}

func (c *client) with(f func(*reality)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.r)
}

func (c *client) answer(name string) (a plan.Answer) {
	c.with(func(r *reality) { a = r.obs.Cluster.Answers[name] })
	return a
}

func (c *client) Members(_ context.Context, via string) ([]kvserver.Member, error) {
	a := c.answer(via)
	if a.Asked != plan.Answered {
		return nil, fmt.Errorf("%s: %s", via, a.Problem)
	}
	return slices.SortedFunc(slices.Values(a.Members), func(x, y kvserver.Member) int { return cmp.Compare(x.ID, y.ID) }), nil
}

func (c *client) Status(_ context.Context, name string) (kvserver.Status, error) {
	a := c.answer(name)
	if a.Status == nil {
		return kvserver.Status{}, errors.New(cmp.Or(a.Problem, "there is no such member"))
	}
	return *a.Status, nil
}

// HashKV tells contents apart as the model does: by whether they have all that was acknowledged.
func (c *client) HashKV(ctx context.Context, name string, revision int64) (h kvserver.Hash, err error) {
	st, err := c.Status(ctx, name)
	c.with(func(r *reality) {
		h = kvserver.Hash{Hash: uint32(r.lag[r.seat(name).url]), Revision: cmp.Or(revision, st.Revision)}
	})
	return h, err
}

func (c *client) MoveLeader(ctx context.Context, leader string, to uint64) error {
	if _, err := c.Status(ctx, leader); err != nil {
		return err
	}
	var err error
	c.with(func(r *reality) {
		if err = r.handOver(r.seat(leader), to); err == nil {
			r.vote()
		}
	})
	return err
}

// The judge's members are the ones of the spec yet: none comes or goes.
var errFixed = errors.New("the members of this model are fixed")

func (c *client) MembersLocal(ctx context.Context, name string) ([]kvserver.Member, error) {
	return c.Members(ctx, name)
}

func (c *client) AddLearner(context.Context, string, []string) (kvserver.Member, []kvserver.Member, error) {
	return kvserver.Member{}, nil, errFixed
}

func (c *client) Promote(context.Context, string, uint64) ([]kvserver.Member, error) {
	return nil, errFixed
}

func (c *client) Remove(context.Context, string, uint64) ([]kvserver.Member, error) {
	return nil, errFixed
}

func (c *client) Update(context.Context, string, uint64, []string) ([]kvserver.Member, error) {
	return nil, errFixed
}
