package stories

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"quorate/test/lab"
)

// databases are how large the members' are, in bytes, by name.
func (s *stage) databases() map[string]int64 {
	s.Helper()
	var status struct {
		Members []struct {
			Name   string `json:"name"`
			Status struct {
				DBSize int64 `json:"db_size"`
			} `json:"status"`
		} `json:"members"`
	}
	r := s.quorate("status", "--json") // its exit code is 1 while an alarm stands
	if err := json.Unmarshal([]byte(r.stdout), &status); err != nil || len(status.Members) != 3 {
		s.Fatalf("%v\n%s", err, r)
	}
	out := map[string]int64{}
	for _, m := range status.Members {
		out[m.Name] = m.Status.DBSize
	}
	return out
}

// handovers counts the moves of leadership that a run tells of.
func handovers(r result) int { return strings.Count(r.stdout, "leadership moved to ") }

// The database reaches its quota while clients write: one command brings the cluster back, and who was patient has lost
// nothing. Nobody is restarted for it.
func TestNoSpaceIsBroughtBackUnderLoad(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("client \"app\" {}\n server { quota_backend_bytes = \"32MiB\" }")
	s.must("apply", "-y")
	before := s.pids(unit)
	c := s.client()
	l := s.startLoad(c, time.Minute)

	s.fill(c, 80)
	standing := s.refused(done, []string{"NOSPACE", "32 MiB"}, "alarm")
	s.refused(held, []string{"no-space", "quorate alarm disarm"}, "apply", "-y")
	r := s.must("alarm", "disarm", "--keep", "2", "-y")
	if n := handovers(r); n != 1 {
		t.Errorf("leadership moved %d times\n%s", n, r)
	}
	if !strings.Contains(r.stdout, "writes are taken through etcd1, etcd2, etcd3") {
		t.Error(r)
	}
	t.Logf("%s\n%s", standing.stdout, r.stdout)
	s.refused(done, []string{"no alarm stands"}, "alarm")
	for name, size := range s.databases() {
		if size > 16<<20 {
			t.Errorf("the database of %s has %d bytes still", name, size)
		}
	}
	s.check(megabyte(s.Context(), c, "/filler"))
	if got := restarted(before, s.pids(unit)); len(got) > 0 {
		t.Errorf("restarted %q", got)
	}
	s.end(l, c)
	s.settled()
}

// Databases are written anew while clients write: by rule, one after another, the leader last, after it has handed over.
// A client that retries has no failed write.
func TestDefragmentationUnderLoad(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(`client "app" {}`)
	s.must("apply", "-y")
	before := s.pids(unit)
	c := s.client()
	for range 120 { // by default a database of 100 MB is worth it
		s.check(megabyte(s.Context(), c, "/filler"))
	}
	s.refused(done, []string{"nothing to defragment", "worth it is one with more than 45 % free"}, "defrag")
	s.must("compact", "--keep", "0", "-y")
	s.refused(done, []string{"nothing to compact"}, "compact", "--keep", "0")
	large := s.databases()
	_, err := c.Get(s.Context(), "/filler", clientv3.WithRev(50))
	if !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("what was compacted can be read: %v", err)
	}

	l, p := s.startLoad(c, time.Minute), s.startPulse(c)
	from := time.Now()
	r := s.must("defrag", "-y")
	to := time.Now()
	acknowledged := s.endPulse(p, c)
	s.end(l, c)
	if n := handovers(r); n != 1 {
		t.Errorf("leadership moved %d times\n%s", n, r)
	}
	small := s.databases()
	for name, size := range small {
		if large[name] < 100e6 || size > large[name]/2 {
			t.Errorf("the database of %s had %d bytes, and has %d", name, large[name], size)
		}
	}
	s.refused(done, []string{"nothing to defragment"}, "defrag")
	if got := restarted(before, s.pids(unit)); len(got) > 0 {
		t.Errorf("restarted %q", got)
	}
	s.settled()
	longest, _ := gap(acknowledged, from, to)
	t.Logf("databases of %d bytes became %d; the cluster took no writes for %s at most\n%s", large["etcd1"], small["etcd1"], longest.Round(time.Millisecond), r.stdout)
}
