package stories

import (
	"bytes"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"quorate/test/lab"
)

// begun is an apply of an operator that holds the lock and was then stopped,
// as if its laptop had stalled.
func (s *stage) begun() (*exec.Cmd, *bytes.Buffer) {
	s.Helper()
	cmd, out, errs := s.prepared(s.Context(), "apply", "-y")
	known := len(s.journals())
	s.check(cmd.Start())
	// The journal is opened under the lock, just before the first step.
	for deadline := time.Now().Add(time.Minute); len(s.journals()) == known; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("the run has not begun:\n%s%s", out, errs)
		}
	}
	s.check(cmd.Process.Signal(syscall.SIGSTOP))
	return cmd, out
}

// While one operator applies, another is told who, from where and since when;
// who waits long enough gets a turn, and finds nothing left to do.
func TestTwoOperatorsAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("")
	// Both have the same CA, as from one repository.
	s.must("apply", "-y")
	other := s.as("bob")
	s.spec("server { snapshot_count = 5000 }")
	other.spec("server { snapshot_count = 5000 }")

	first, _ := s.begun()
	year := time.Now().UTC().Format("2006-")
	other.refused(locked, []string{"locked by", "apply", year}, "apply", "-y")
	if r := other.quorate("plan", "--detailed-exitcode"); r.code != pending {
		t.Errorf("a plan needs no lock\n%s", r)
	}

	waiting, out, errs := other.prepared(s.Context(), "apply", "-y", "--lock-timeout", "60s")
	s.check(waiting.Start())
	s.check(first.Process.Signal(syscall.SIGCONT))
	if code := s.exitCode(first.Wait()); code != done {
		t.Errorf("the first run ended with %d", code)
	}
	if code := s.exitCode(waiting.Wait()); code != done || !strings.Contains(out.String(), "no changes") {
		t.Errorf("the second run ended with %d:\n%s%s", code, out, errs)
	}
	s.settled()
}

// The lock ends with its holder, also by kill -9.
func TestLockDiesWithItsHolder(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("")
	first, _ := s.begun()
	s.check(first.Process.Kill())
	_ = first.Wait()
	s.must("apply", "-y", "--lock-timeout", "30s")
	s.settled()
}

// Ctrl-C ends a run cleanly, and the next one goes on.
func TestInterruptIsClean(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("")
	cmd, out := s.begun()
	s.check(cmd.Process.Signal(syscall.SIGINT))
	s.check(cmd.Process.Signal(syscall.SIGCONT))
	if code := s.exitCode(cmd.Wait()); code != interrupted {
		t.Errorf("the interrupted run ended with %d:\n%s", code, out)
	}
	s.must("apply", "-y")
	s.settled()
}
