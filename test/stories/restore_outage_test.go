package stories

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"quorate/test/lab"
)

// begun is what the journal says when the first step of a kind begins.
func begun(kind string) string { return fmt.Sprintf(`"step-started","step":"%s `, kind) }

// A host loses its power in the middle of a restore. Booted, it starts nothing by itself, neither of the old cluster nor of the new one; the
// restore is finished, or taken back.
func TestPowerCutDuringARestore(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(impatient)
	s.must("apply", "-y")
	s.must("ctl", "--", "put", "/name", "before")
	s.must("backup", "--fetch=yes")
	h := s.Host(1)
	cut := func(*exec.Cmd) { s.check(h.PowerCut(s.Context())) }
	goOn := func(what, way string) {
		t.Helper()
		if !h.Running() {
			s.check(h.Boot(s.Context()))
		}
		args, want := []string{"restore", "latest", way, "-y"}, "before"
		if way == "--undo" {
			args, want = []string{"restore", way, "-y", "--discard-writes"}, "after"
		}
		r := s.must(args...)
		if strings.Contains(r.stdout, "no restore of cluster lab is unfinished") {
			t.Logf("%s: nothing was begun, or all was done", what)
			s.healthy()
			want = s.value("/name")
		}
		if got := s.value("/name"); got != want {
			t.Errorf("%s, %s: /name is %q, want %q\n%s", what, way, got, want, r)
		}
		s.settled()
		s.must("status", "--hash")
	}
	if os.Getenv("QUORATE_SOAK") == "" {
		s.must("ctl", "--", "put", "/name", "after")
		if r := s.at(begun("swap"), cut, "restore", "latest", "-y"); r.code == done {
			t.Errorf("a host had no power from the exchange on, and it was done\n%s", r)
		}
		s.check(h.Boot(s.Context()))
		s.wake(h)
		s.logs(h, "is being restored from")
		goOn("swap", "--undo")
		return
	}
	for _, way := range []string{"--resume", "--undo"} {
		for n := 0; ; n++ {
			s.must("ctl", "--", "put", "/name", "after")
			ended, _ := s.when(func(known map[string]bool) bool { return s.calls(known) >= n }, cut, "restore", "latest", "-y")
			if ended {
				t.Logf("%s: a restore has no call %d", way, n)
				break
			}
			goOn(fmt.Sprintf("after %d calls", n), way)
		}
	}
}

// A disk is full when new data is made on it, or when that takes the old one's place: it is named, the members serve on as long as nobody
// was stopped, an undo needs no room, and with room the restore is finished.
func TestFullDiskDuringARestore(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	const disk = "/var/lib/quorate"
	h := s.Host(2)
	s.check(h.SmallDisk(s.Context(), disk, 700<<20))
	s.spec("")
	s.must("apply", "-y")
	s.must("ctl", "--", "put", "/name", "before")
	s.must("backup", "--fetch=yes")
	s.must("ctl", "--", "put", "/name", "after")
	// fill the disk while the run stands still: what it does next finds it full.
	fill := func(run *exec.Cmd) {
		s.check(run.Process.Signal(syscall.SIGSTOP))
		err := h.FillDisk(s.Context(), disk, 0)
		s.check(run.Process.Signal(syscall.SIGCONT))
		s.check(err)
	}
	free := func() { s.on(h, "rm", disk+"/.ballast") }

	before := s.pids(unit)
	for _, way := range []string{"--undo", "--resume"} {
		r := s.at(begun("mark"), fill, "restore", "latest", "-y")
		if r.code != failed || !strings.Contains(r.stdout+r.stderr, disk+"/lab") || !strings.Contains(r.stdout+r.stderr, "etcd3") || !strings.Contains(r.stdout+r.stderr, "are needed") {
			t.Errorf("it should name the full disk of etcd3\n%s", r)
		}
		if got := restarted(before, s.pids(unit)); len(got) > 0 {
			t.Errorf("nobody was to be stopped, and restarted are %q", got)
		}
		if way == "--resume" {
			free()
			s.must("restore", "latest", way, "-y")
			if got := s.value("/name"); got != "before" {
				t.Errorf("/name is %q", got)
			}
			break
		}
		s.must("restore", way, "-y")
		if got := restarted(before, s.pids(unit)); len(got) > 0 {
			t.Errorf("an undo has restarted %q", got)
		}
		if got := s.value("/name"); got != "after" {
			t.Errorf("/name is %q", got)
		}
		free()
		s.settled()
	}
	s.settled()

	if os.Getenv("QUORATE_SOAK") == "" {
		return
	}

	// Full once all is staged: renames need no room, and a start needs some.
	s.must("ctl", "--", "put", "/name", "again")
	r := s.at(begun("stop"), fill, "restore", "latest", "-y")
	if r.code != failed || !strings.Contains(r.stdout+r.stderr, "etcd3") || !strings.Contains(r.stdout+r.stderr, "no space left on device") {
		t.Errorf("it should say that etcd3 has no space left\n%s", r)
	}
	free()
	s.must("restore", "--resume", "-y")
	if got := s.value("/name"); got != "before" {
		t.Errorf("/name is %q", got)
	}
	s.settled()
	s.must("status", "--hash")
}
