package stories

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/test/lab"
)

// calls counts the host calls in the journal of the newest run, from the
// journals that are not in known.
func (s *stage) calls(known map[string]bool) int {
	files, err := filepath.Glob(filepath.Join(s.dir, ".quorate/lab/runs/*.jsonl"))
	s.check(err)
	n := 0
	for _, f := range files {
		if known[f] {
			continue
		}
		b, err := os.ReadFile(f)
		s.check(err)
		n += bytes.Count(b, []byte(`"type":"call"`))
	}
	return n
}

func (s *stage) journals() map[string]bool {
	files, err := filepath.Glob(filepath.Join(s.dir, ".quorate/lab/runs/*.jsonl"))
	s.check(err)
	known := map[string]bool{}
	for _, f := range files {
		known[f] = true
	}
	return known
}

// during runs apply with more options, and does something once n host calls of it have been
// made. It says whether the run ended before that, and what came of it.
func (s *stage) during(n int, do func(run *exec.Cmd), options ...string) (ended bool, r result) {
	s.Helper()
	return s.when(func(known map[string]bool) bool { return s.calls(known) >= n }, do, append([]string{"apply", "-y"}, options...)...)
}

// when runs quorate, and does something once the time has come, which is judged by the journals that are not known. It says
// whether the run ended before that, and what came of it.
func (s *stage) when(come func(known map[string]bool) bool, do func(run *exec.Cmd), args ...string) (ended bool, r result) {
	s.Helper()
	known, begin := s.journals(), time.Now()
	cmd, out, errs := s.prepared(s.Context(), args...)
	s.check(cmd.Start())
	exit := make(chan error, 1)
	go func() { exit <- cmd.Wait() }()
	came := func(err error) result {
		r := result{args, s.exitCode(err), out.String(), errs.String()}
		s.Logf("quorate %s: exit code %d after %.2fs", strings.Join(args, " "), r.code, time.Since(begin).Seconds())
		return r
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-exit:
			return true, came(err)
		case <-tick.C:
			if come(known) {
				do(cmd)
				return false, came(<-exit)
			}
		}
	}
}

// killed runs apply and kills it (-9) once n host calls have been made. It
// says whether the run ended before that, which it must do well.
func (s *stage) killed(n int) (ended bool) {
	s.Helper()
	ended, r := s.during(n, func(run *exec.Cmd) { s.check(run.Process.Kill()) })
	if ended && r.code != done {
		s.Fatalf("the run that was to be killed after %d calls did not end well\n%s", n, r)
	}
	return ended
}

// members checks that the cluster has three members, each with its name.
func (s *stage) members() {
	s.Helper()
	r := s.must("ctl", "--", "member", "list", "-w", "json")
	var list struct {
		Members []struct {
			Name      string `json:"name"`
			IsLearner bool   `json:"isLearner"`
		} `json:"members"`
	}
	s.check(json.Unmarshal([]byte(r.stdout), &list))
	names := []string{}
	for _, m := range list.Members {
		names = append(names, m.Name)
	}
	if len(names) != 3 || strings.Contains(strings.Join(names, " ")+" ", "  ") {
		s.Errorf("the members are %q", names)
	}
}

// stride is how many calls lie between two kills: all of them are tried by
// `make soak`, every tenth by an ordinary run. (In memory, provision's
// TestCutEverywhere always cuts each of them, in three ways.)
func stride() int {
	if os.Getenv("QUORATE_SOAK") != "" {
		return 1
	}
	return 10
}

// The first apply is killed after its first, second, … host call, each time
// on new hosts. The next one completes.
func TestKilledAfterEveryCallOfABootstrap(t *testing.T) {
	t.Parallel()
	// Two labs take turns, so that two cores are busy.
	for half := range 2 {
		t.Run(fmt.Sprintf("half %d", half+1), func(t *testing.T) {
			t.Parallel()
			s := open(t, lab.Options{})
			for n := half; ; n += 2 * stride() {
				s.dir = s.folder(fmt.Sprintf("spec%d", n))
				s.spec("")
				ended := s.killed(n)
				s.must("apply", "-y", "--lock-timeout", "30s")
				s.settled()
				s.members()
				if ended {
					t.Logf("%d calls, killed after every %d of them", n, 2*stride())
					return
				}
				s.check(s.Reset(s.Context()))
			}
		})
	}
}

// A change that restarts every member is killed after its first, second, …
// host call. The next apply completes, and nothing written is lost.
func TestKilledAfterEveryCallOfARoll(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("")
	s.must("apply", "-y")
	for n := 0; ; n += stride() {
		value := fmt.Sprint(n)
		s.must("ctl", "--", "put", "/kept", value)
		s.spec(fmt.Sprintf("server { snapshot_count = %d }", 5000+n))
		ended := s.killed(n)
		s.must("apply", "-y", "--lock-timeout", "30s")
		s.settled()
		s.members()
		if got := s.must("ctl", "--", "get", "/kept", "--print-value-only").stdout; got != value+"\n" {
			t.Errorf("after a kill at call %d, /kept is %q, want %q", n, got, value)
		}
		if ended {
			t.Logf("%d calls, killed after every %d of them", n, stride())
			return
		}
	}
}
