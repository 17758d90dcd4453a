package stories

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"quorate/test/lab"
)

// impatient finds out soon that a host has lost its power.
const impatient = "connection {\n connect_timeout = \"5s\"\n keep_alive = \"4s\"\n}\n"

// outageWait is longer than hosts are without power here: all of a run, which waits five minutes for a
// quorum where two of three have none, and their boot on a busy machine.
const outageWait = 10 * time.Minute

// cuts are the moments of a run, in host calls, at which power is cut: all of
// them in a soak, else a few that lie in different kinds of steps.
func cuts(few ...int) []int {
	if os.Getenv("QUORATE_SOAK") == "" {
		return few
	}
	all := make([]int, 60) // more than a run of three hosts has; a run that ends before is the last one
	for i := range all {
		all[i] = i
	}
	return all
}

// outage cuts the power of hosts in the middle of an apply, and brings it back
// once that has ended. It says whether the run ended before.
func (s *stage) outage(n int, hosts []*lab.Host) (ended bool) {
	s.Helper()
	ended, r := s.during(n, func(*exec.Cmd) {
		for _, h := range hosts {
			s.check(h.PowerCut(s.Context()))
		}
	})
	if ended && r.code != done {
		s.Fatalf("the run in which power was to be cut after %d calls did not end well\n%s", n, r)
	}
	for _, h := range hosts {
		if !h.Running() {
			s.check(h.Boot(s.Context()))
		}
	}
	return ended
}

// One host, two, all of them lose power in the middle of a first apply. The
// next one completes what was begun.
func TestPowerCutDuringABootstrap(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	for hosts := 1; hosts <= 3; hosts++ {
		few := [][]int{{}, {}, {12}}[hosts-1]
		for _, n := range cuts(few...) {
			s.dir = s.folder(fmt.Sprintf("spec-%d-%d", hosts, n))
			s.spec(impatient)
			ended := s.outage(n, s.Hosts()[:hosts])
			s.mended()
			s.members()
			s.check(s.Reset(s.Context()))
			if ended {
				t.Logf("%d hosts: a run has no call %d", hosts, n)
				break
			}
		}
	}
}

// The same in the middle of a change that restarts every member, under a
// writer that repeats each write until it is acknowledged: nothing that was
// acknowledged is lost.
func TestPowerCutDuringARoll(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(impatient + `client "app" {}`)
	s.must("apply", "-y")
	c := s.client()
	l := s.startLoad(c, outageWait)
	count := 5000
	for hosts := 1; hosts <= 3; hosts++ {
		few := [][]int{{8}, {}, {11}}[hosts-1]
		for _, n := range cuts(few...) {
			count++
			s.spec(impatient + fmt.Sprintf("client \"app\" {}\nserver { snapshot_count = %d }", count))
			ended := s.outage(n, s.Hosts()[:hosts])
			s.mended()
			s.members()
			if ended {
				t.Logf("%d hosts: a run has no call %d", hosts, n)
				break
			}
		}
	}
	s.end(l, c)
}

// mended waits until what serves by itself does so, applies, and sees that nothing is left to do.
func (s *stage) mended() {
	s.Helper()
	for range 3 {
		if s.quorate("apply", "-y").code == done {
			break
		}
		s.quorate("status") // members that find each other again need a moment
	}
	s.must("apply", "-y")
	s.settled()
}
