package stories

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/plan"
	"quorate/test/lab"
)

// dirs is a server with these folders. n makes it another spec each time: to go back to one is held.
func dirs(n int, data, wal string) string {
	if wal != "" {
		wal = fmt.Sprintf("wal_dir = %q", wal)
	}
	return fmt.Sprintf("client \"app\" {}\nserver {\n data_dir = %q\n %s\n snapshot_count = %d\n}\n", data, wal, 9000+n)
}

// disks puts a file system of its own at folders of every host: a data disk as mkfs leaves it.
func (s *stage) disks(size int64, folders ...string) {
	s.Helper()
	for _, h := range s.Hosts() {
		for _, dir := range folders {
			s.check(h.SmallDisk(s.Context(), dir, size))
			s.on(h, "mkdir", "-m", "700", dir+"/lost+found")
		}
	}
}

// ids are the members, as the cluster lists them.
func (s *stage) ids() string {
	s.Helper()
	return s.must("ctl", "--", "member", "list").stdout
}

// The data goes to a mount point and the log to a disk of its own, and the log back again: one voter at a time, under
// a writer, whose every acknowledged write is there afterwards. What was copied from is kept, and status says where.
func TestDirectoriesMove(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(`client "app" {}`)
	s.must("apply", "-y")
	was := s.ids()
	s.disks(1<<30, "/srv/etcd", "/ssd")
	c := s.client()
	l := s.startLoad(c, time.Minute)

	s.spec(dirs(1, "/srv/etcd", "/ssd/wal"))
	p := s.plan(pending)
	moved := 0
	for _, step := range p.Steps {
		if step.Kind == plan.KindRelocate {
			moved++
			if !step.Quorum.During.Writable() {
				t.Errorf("step %q stops writes: %+v", step.ID, step.Quorum)
			}
		}
	}
	if moved != 3 {
		t.Errorf("%d members are to move: %q", moved, steps(p))
	}
	t.Log(s.must("plan").stdout)
	t.Log(s.must("apply", "-y").stdout)
	s.settled()
	status := s.must("status").stdout
	t.Log(status)
	for _, h := range s.Hosts() {
		if got := s.shell(h, "ls /srv/etcd/member /ssd/wal; ls -A /var/lib/quorate/lab; stat -c '%U %a' /srv/etcd /ssd/wal /ssd/wal/wal /srv/etcd/member /srv/etcd/member/snap/db /var/lib/quorate/lab"); strings.Join(strings.Fields(got), " ") !=
			"/srv/etcd/member: snap /ssd/wal: wal .aside quorate-lab 700 quorate-lab 700 quorate-lab 700 quorate-lab 700 quorate-lab 600 quorate-lab 700" {
			t.Errorf("%s has\n%s", h.Name(), got)
		}
		if got := s.shell(h, "ls /var/lib/quorate/lab/.aside/*"); got != "member\nwal" {
			t.Errorf("%s keeps\n%s", h.Name(), got)
		}
	}
	if n := strings.Count(status, "/var/lib/quorate/lab/.aside/"); n != 3 {
		t.Errorf("status lists %d of 3 folders with what is kept\n%s", n, status)
	}

	// The log comes back to the data, which is on another file system.
	s.spec(dirs(2, "/srv/etcd", ""))
	s.must("apply", "-y")
	s.settled()
	// Both go to where they came from.
	s.spec(dirs(3, "/var/lib/quorate/lab", ""))
	s.must("apply", "-y")
	s.settled()
	s.end(l, c)
	if now := s.ids(); now != was {
		t.Errorf("the members were\n%s and are\n%s", was, now)
	}
}

// What cannot be moved is held, and nobody is stopped for it.
func TestDirectoriesThatCannotMove(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(`client "app" {}`)
	s.must("apply", "-y")
	before := s.pids(unit)
	s.disks(200<<20, "/srv/etcd")
	s.spec(dirs(1, "/srv/etcd", ""))
	s.refused(held, []string{"disk-full", "MiB free", "must be left"}, "apply", "-y")
	s.shell(s.Host(1), "mkdir -p /srv/used && touch /srv/used/photos")
	s.shell(s.Host(2), "mkdir -p /srv/used/member/wal && touch /srv/used/member/wal/0.wal")
	s.spec(dirs(2, "/srv/used", ""))
	r := s.quorate("plan")
	for _, w := range []string{"folder-in-use", "photos", "data-exists", "both are there"} {
		if !strings.Contains(r.stdout, w) {
			t.Errorf("want the words %q\n%s", w, r)
		}
	}
	s.refused(held, []string{"data-moved"}, "destroy", "-y")
	if got := restarted(before, s.pids(unit)); len(got) > 0 {
		t.Errorf("restarted %q", got)
	}
}

// Killed after its calls, and the hosts without power in the middle, again and again, under a writer: the next run
// goes on, and nothing that was acknowledged is lost. No member starts as new on a folder that is empty yet.
func TestDirectoriesMoveAndAreCut(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(impatient + `client "app" {}`)
	s.must("apply", "-y")
	was := s.ids()
	c := s.client()
	l := s.startLoad(c, outageWait)
	there, turn := true, 0
	// next moves everything elsewhere: to another file system and back.
	next := func(far bool) {
		turn++
		switch there = !there; {
		case there:
			s.spec(impatient + dirs(turn, "/var/lib/quorate/lab", ""))
		case far:
			s.spec(impatient + dirs(turn, "/mnt/etcd", "/mnt/log"))
		default:
			s.spec(impatient + dirs(turn, "/srv/etcd", "/srv/log"))
		}
	}
	s.disks(1<<30, "/mnt")
	for _, n := range cuts(3, 6, 9, 12, 15, 19) {
		next(true)
		ended := s.killed(n)
		s.mended()
		for _, h := range s.Hosts() {
			s.shell(h, "rm -rf /mnt/*/.aside") // what was copied from is kept each time, and the disk is small
		}
		if ended {
			t.Logf("a run has no call %d", n)
			break
		}
	}
	if !there {
		next(true)
		s.must("apply", "-y")
	}
	for _, hosts := range [][]*lab.Host{s.Hosts()[:1], s.Hosts()} {
		for _, n := range cuts(5, 8, 13) {
			next(false)
			ended, _ := s.during(n, func(*exec.Cmd) {
				for _, h := range hosts {
					s.check(h.PowerCut(s.Context()))
				}
			})
			for _, h := range hosts {
				if !h.Running() {
					s.check(h.Boot(s.Context()))
				}
			}
			s.mended()
			if ended {
				break
			}
		}
	}
	s.end(l, c)
	if now := s.ids(); now != was {
		t.Errorf("the members were\n%s and are\n%s", was, now)
	}
	if left := slices.DeleteFunc(s.Hosts(), func(h *lab.Host) bool {
		return s.shell(h, "find / -xdev -name '*.quorate-cop*' 2>/dev/null || true") == ""
	}); len(left) > 0 {
		t.Errorf("copies that nobody needs are left on %v", left)
	}
}
