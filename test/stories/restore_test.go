package stories

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quorate/test/lab"
)

// at runs a verb, and does something once its journal says something, which has to come before the end.
func (s *stage) at(says string, do func(run *exec.Cmd), args ...string) result {
	s.Helper()
	ended, r := s.when(func(known map[string]bool) bool { return s.said(known, says) }, do, args...)
	if ended {
		s.Fatalf("it ended before it said %q\n%s", says, r)
	}
	return r
}

// killedAt kills it (-9) then.
func (s *stage) killedAt(says string, args ...string) {
	s.Helper()
	s.at(says, func(run *exec.Cmd) { s.check(run.Process.Kill()) }, args...)
}

// said reports whether a journal that is not known says something.
func (s *stage) said(known map[string]bool, what string) bool {
	files, err := filepath.Glob(filepath.Join(s.dir, ".quorate/lab/runs/*.jsonl"))
	s.check(err)
	for _, f := range files {
		if b, err := os.ReadFile(f); !known[f] && err == nil && bytes.Contains(b, []byte(what)) {
			return true
		}
	}
	return false
}

// value is what a key has.
func (s *stage) value(key string) string {
	s.Helper()
	return strings.TrimSpace(s.must("ctl", "--", "get", key, "--print-value-only").stdout)
}

// A restore onto mount points, by an operator whose machine dies in its middle, again and again: another one finishes it, or takes it
// back. A file that is damaged stops nobody, and a host that boots in the middle starts nothing.
func TestRestoreIsFinishedOrUndoneByAnybody(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.disks(1<<30, "/srv/etcd", "/ssd")
	s.spec(dirs(1, "/srv/etcd", "/ssd/wal"))
	s.must("apply", "-y")
	s.must("ctl", "--", "put", "/name", "before")
	s.must("backup", "--fetch=yes")
	s.must("ctl", "--", "put", "/name", "after")

	before := s.pids(unit)
	s.write("half.db", strings.Repeat("x", 20000))
	s.refused(failed, []string{"cannot verify half.db"}, "restore", "half.db", "-y")
	if got := restarted(before, s.pids(unit)); len(got) > 0 {
		t.Errorf("restarted %q", got)
	}

	// While new data is made; then while it is exchanged; then while all start.
	for _, at := range []string{`"step-started","step":"stage `, `"step-started","step":"swap `, `"step-started","step":"revive `} {
		for _, way := range []string{"--undo", "--resume"} {
			s.must("ctl", "--", "put", "/name", "after")
			s.killedAt(at, "restore", "latest", "-y")
			ben := s.as("ben" + strings.Trim(at[len(at)-7:], ` ":`) + strings.Trim(way, "-"))
			ben.refused(held, []string{"restore-unfinished", "quorate restore --resume"}, "apply", "-y")
			h := s.Host(1)
			s.on(h, "systemctl", "restart", "--no-block", unit)
			want := "after"
			args := []string{"restore", way, "-y"}
			if way == "--resume" {
				args, want = []string{"restore", "latest", way, "-y"}, "before"
			} else {
				args = append(args, "--discard-writes")
			}
			r := ben.must(args...)
			if got := ben.value("/name"); got != want {
				t.Errorf("%s after %s: /name is %q, should be %q\n%s", way, at, got, want, r)
			}
			ben.settled()
			ben.must("status", "--hash")
		}
	}
	for _, h := range s.Hosts() {
		if left := s.shell(h, "ls -d /etc/quorate/lab/restore.json /srv/etcd/.restore-* /ssd/wal/.restore-* /var/backups/quorate/lab/.restore-* 2>/dev/null || true"); left != "" {
			t.Errorf("left on %s: %s", h.Name(), left)
		}
	}
}
