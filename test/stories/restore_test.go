package stories

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/test/lab"
)

// killedAt runs a verb and kills it (-9) once its journal says something.
func (s *stage) killedAt(says string, args ...string) {
	s.Helper()
	known := s.journals()
	cmd, out, errs := s.prepared(s.Context(), args...)
	s.check(cmd.Start())
	exit := make(chan error, 1)
	go func() { exit <- cmd.Wait() }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-exit:
			s.Fatalf("it ended before it said %q\n%s", says, result{args, s.exitCode(err), out.String(), errs.String()})
		case <-tick.C:
			if s.said(known, says) {
				s.check(cmd.Process.Kill())
				<-exit
				return
			}
		}
	}
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
