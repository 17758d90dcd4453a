package stories

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"quorate/test/lab"
)

// led is the host of the leader, and the others.
func (s *stage) led(c *clientv3.Client) (leader *lab.Host, others []*lab.Host) {
	s.Helper()
	for _, h := range s.Hosts() {
		st, err := c.Status(s.Context(), "https://"+net.JoinHostPort(h.Addr(), "2379"))
		s.check(err)
		if st.Leader == st.Header.MemberId {
			leader = h
		} else {
			others = append(others, h)
		}
	}
	return leader, others
}

// Two of three hosts die under load, the leader last, so that all that was acknowledged is on the third one's disk, some of it
// behind what that knows to be committed. It becomes a cluster of its own, though the operator's machine dies in the middle; nothing
// acknowledged is missing. Then both dead ones come back by themselves, as a quorum of the former cluster, and the next apply
// has them join.
func TestMajorityIsGone(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(`client "app" {}` + "\n" + impatient)
	s.must("apply", "-y")
	c := s.client()
	leader, others := s.led(c)
	dead, left := others[0], others[1]
	p := s.startPulse(c)
	time.Sleep(time.Second)
	s.check(dead.PowerCut(s.Context()))
	time.Sleep(3 * time.Second)
	s.check(leader.PowerCut(s.Context()))
	p.stop()

	s.refused(usage, []string{"Lost: what only", "nobody is there to ask"}, "recover")
	s.killedAt(`"step-started","step":"replay `, "recover", "--from", left.Name(), "-y")
	ben := s.as("ben")
	ben.refused(held, []string{"restore-unfinished", "from the disk of " + left.Name()}, "apply", "-y")
	began := time.Now()
	r := ben.must("restore", "--resume", "-y")
	t.Logf("resumed in %.1f s\n%s", time.Since(began).Seconds(), r)
	acknowledged := s.endPulse(p, c)
	t.Logf("%d writes acknowledged", len(acknowledged))
	ben.must("ctl", "--", "put", "/since", "1")

	s.check(dead.Boot(s.Context()))
	s.check(leader.Boot(s.Context()))
	ben.must("apply", "-y")
	ben.settled()
	ben.reads("/since", "1")
	s.endPulse(p, c)
	ben.must("status", "--hash")
	for _, h := range []*lab.Host{dead, leader} {
		if kept := s.shell(h, "find / -xdev -path '*/.aside/*/member/wal' 2>/dev/null || true"); kept == "" {
			t.Errorf("the former data of %s is not kept", h.Name())
		}
	}
	if got := s.shell(left, "ls -a /var/backups/quorate/lab 2>/dev/null || true"); slices.ContainsFunc(strings.Fields(got), func(n string) bool { return strings.HasPrefix(n, ".restore-") }) {
		t.Errorf("left on %s: %s", left.Name(), got)
	}
}

// Two of three disks are lost. The operator's machine dies, and with it the power of the host whose disk is taken, at each step of
// the recovery; then it is finished, or taken back and begun again. What was written is there each time.
func TestRecoveryIsCutAtEachStep(t *testing.T) {
	t.Parallel()
	soak(t)
	s := open(t, lab.Options{})
	s.spec(impatient)
	s.must("apply", "-y")
	h := s.Host(0)
	for _, kind := range []string{"mark", "stop", "replay", "stage", "swap", "revive", "record", "unmark"} {
		for _, back := range []bool{false, true} {
			s.must("ctl", "--", "put", "/name", kind)
			for _, lost := range s.Hosts()[1:] {
				s.shell(lost, "rm -rf /root/member")
				s.blank(lost)
			}
			s.killedAt(`"step-started","step":"`+kind+" ", "recover", "--from", h.Name(), "-y")
			s.check(h.PowerCut(s.Context()))
			s.check(h.Boot(s.Context()))
			unfinished := slices.ContainsFunc(s.Hosts(), func(h *lab.Host) bool {
				return s.shell(h, "ls /etc/quorate/lab/restore.json 2>/dev/null || true") != ""
			})
			if unfinished && back {
				s.must("restore", "--undo", "--discard-writes", "-y")
			}
			if unfinished && !back {
				s.must("restore", "--resume", "-y")
			} else if back || kind == "mark" {
				s.must("recover", "--from", h.Name(), "-y")
			}
			s.reads("/name", kind)
			s.must("apply", "-y")
			s.settled()
			s.must("status", "--hash")
		}
	}
}
