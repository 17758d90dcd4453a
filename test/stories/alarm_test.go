package stories

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"quorate/test/lab"
)

// megabyte puts as much under a key, of what does not compress.
func megabyte(ctx context.Context, c *clientv3.Client, key string) error {
	value := make([]byte, 1<<20)
	_, _ = rand.Read(value) // never fails
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := c.Put(ctx, key, string(value))
	return err
}

// fill writes megabytes, most of them at most, until the database has reached its quota.
func (s *stage) fill(c *clientv3.Client, most int) {
	s.Helper()
	var err error
	for range most {
		if err = megabyte(s.Context(), c, "/filler"); err != nil {
			break
		}
	}
	if !errors.Is(err, rpctypes.ErrNoSpace) {
		s.Fatalf("the quota is not reached after %d MiB: %v", most, err)
	}
}

// The database reaches its quota, and writes are refused: nobody is restarted for anything, nobody joins, and the only
// change that rolls is the larger quota that ends it.
func TestNoSpaceStopsARoll(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{Hosts: 4})
	spec := func(quota, more, members string) {
		s.want(fmt.Sprintf("server {\n quota_backend_bytes = %q\n%s}\n%s", quota, more, members))
	}
	three := members(1, 2, 3)
	spec("16MiB", "", three)
	s.must("apply", "-y")
	c := s.client()
	s.fill(c, 40)

	before := s.pids(unit)
	spec("16MiB", " snapshot_count = 5000\n", three)
	s.refused(held, []string{"no-space", "NOSPACE", "quota_backend_bytes", "alarm disarm"}, "apply", "-y")
	spec("64MiB", " snapshot_count = 5000\n", three)
	s.refused(held, []string{"no-space", "change nothing but the quota"}, "apply", "-y")
	spec("16MiB", "", members(1, 2, 3, 4))
	s.refused(held, []string{"no-space"}, "apply", "-y")
	if got := s.listed(); len(got) != 3 {
		t.Errorf("the members are %q", got)
	}
	if got := restarted(before, s.pids(unit)); len(got) > 0 {
		t.Errorf("restarted %q", got)
	}

	spec("64MiB", "", three)
	s.refused(held, []string{"no-space"}, "apply", "-y") // it rolls, and the alarm stands until somebody says that it is over
	if got := restarted(before, s.pids(unit)); len(got) != 3 {
		t.Errorf("restarted %q for the quota", got)
	}
	s.must("ctl", "--", "alarm", "disarm")
	s.check(megabyte(s.Context(), c, "/filler"))
	s.settled()
	s.must("apply", "-y")
	s.are("etcd1", "etcd2", "etcd3")
}
