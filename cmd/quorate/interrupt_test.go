package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
	"quorate/provision"
)

// What a signal ends, and what is said about it.
func TestInterruptible(t *testing.T) {
	t.Parallel()
	const run, idle = true, false
	for _, c := range []struct {
		name    string
		running bool
		signals []os.Signal
		// begin, abort: the contexts that have ended; left: the process was ended.
		begin, abort, left bool
		said               string
	}{
		{"looking, Ctrl-C", idle, []os.Signal{os.Interrupt}, true, false, false, "stopping (Ctrl-C again leaves at once)"},
		{"looking, twice", idle, []os.Signal{os.Interrupt, os.Interrupt}, true, false, true, "stopping"},
		{"looking, SIGTERM twice", idle, []os.Signal{syscall.SIGTERM, syscall.SIGTERM}, true, false, false, "stopping"},
		{"a run, Ctrl-C", run, []os.Signal{os.Interrupt}, true, false, false, "finishing 2 steps in flight (Ctrl-C again abandons them)"},
		{"a run, SIGTERM", run, []os.Signal{syscall.SIGTERM, syscall.SIGTERM}, true, false, false, "finishing 2 steps in flight"},
		{"a run, closed terminal", run, []os.Signal{syscall.SIGHUP, syscall.SIGHUP, syscall.SIGTERM}, true, false, false, "finishing 2 steps in flight"},
		{"a run, twice", run, []os.Signal{os.Interrupt, os.Interrupt}, true, true, false, "abandoning 2 steps in flight (Ctrl-C again leaves at once)"},
		{"a run, SIGTERM and Ctrl-C", run, []os.Signal{syscall.SIGTERM, os.Interrupt}, true, true, false, "abandoning 2 steps in flight"},
		{"a run, three times", run, []os.Signal{os.Interrupt, os.Interrupt, os.Interrupt}, true, true, true, "abandoning"},
	} {
		signals := make(chan os.Signal)
		left := make(chan int, 1)
		var out bytes.Buffer
		p := &process{signals: signals, err: &out, exit: func(code int) { left <- code }}
		if c.running {
			p.flight.begin(view.Lines(io.Discard, view.Options{}))
			for _, step := range []string{"a", "b", "c"} {
				p.flight.event(provision.Event{Type: provision.StepStarted, Step: step})
			}
			p.flight.event(provision.Event{Type: provision.StepDone, Step: "c"})
		}
		ctx, stop := p.interruptible(t.Context())
		if ctx.Err() != nil || p.abort.Err() != nil {
			t.Fatalf("%s: ended before anything happened", c.name)
		}
		for _, s := range c.signals {
			signals <- s
		}
		signals <- syscall.SIGTERM // taken only once the others have been answered
		if got := ctx.Err() != nil; got != c.begin {
			t.Errorf("%s: begin ended: %t", c.name, got)
		}
		if cause := context.Cause(ctx); exitCode(cause) != exitInterrupted {
			t.Errorf("%s: the cause is %v", c.name, cause)
		}
		if got := p.abort.Err() != nil; got != c.abort {
			t.Errorf("%s: abort ended: %t", c.name, got)
		}
		if got := len(left) > 0; got != c.left || got && <-left != exitInterrupted {
			t.Errorf("%s: left the process: %t", c.name, got)
		}
		stop()
		if !strings.Contains(out.String(), c.said) {
			t.Errorf("%s: said %q", c.name, out.String())
		}
	}
}

// spec of one local member, whose server is binary ("" the real one).
func writeOneMember(t *testing.T, dir, binary string) {
	t.Helper()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	server := ""
	if binary != "" {
		server = fmt.Sprintf("  server { binary = %q }", binary)
	}
	text := fmt.Sprintf(`
cluster "one" {
  connection { type = "local" }
%s
  member "etcd1" {
    address     = "127.0.0.1"
    client_port = %d
    peer_port   = %d
  }
}
`, server, ports[0], ports[0]+peerOffset)
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killLeft(t, dir) })
}

// started is a run of quorate with --json whose events can be waited for.
type started struct {
	t      *testing.T
	cmd    *exec.Cmd
	events chan line
	mu     sync.Mutex
	err    bytes.Buffer
	saw    chan struct{} // something came on standard error
}

func (o *operator) start(args ...string) *started {
	o.t.Helper()
	s := &started{t: o.t, cmd: o.command(append(args, "--json")...), events: make(chan line, 1000), saw: make(chan struct{}, 1)}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		o.t.Fatal(err)
	}
	s.cmd.Stderr = s
	if err := s.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	stuck := time.AfterFunc(2*time.Minute, func() { _ = s.cmd.Process.Kill() })
	o.t.Cleanup(func() { stuck.Stop() })
	go func() {
		defer close(s.events)
		in := bufio.NewScanner(out)
		in.Buffer(nil, 1<<24)
		for in.Scan() {
			var l line
			if err := json.Unmarshal(in.Bytes(), &l); err != nil {
				o.t.Errorf("%v in %q", err, in.Text())
			}
			s.events <- l
		}
	}()
	return s
}

// Write keeps standard error.
func (s *started) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.err.Write(b)
	select {
	case s.saw <- struct{}{}:
	default:
	}
	return n, err
}

func (s *started) stderr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err.String()
}

// began waits for a step of a kind to be in flight.
func (s *started) began(kind plan.Kind) {
	s.t.Helper()
	for l := range s.events {
		if l.Event != nil && l.Event.Type == provision.StepStarted && strings.HasPrefix(l.Event.Step, string(kind)) {
			return
		}
	}
	s.t.Fatalf("no step %s: %s", kind, s.stderr())
}

// said waits for words on standard error.
func (s *started) said(words string) {
	s.t.Helper()
	for deadline := time.After(time.Minute); !strings.Contains(s.stderr(), words); {
		select {
		case <-s.saw:
		case <-deadline:
			s.t.Fatalf("it did not say %q: %s", words, s.stderr())
		}
	}
}

func (s *started) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// ended waits for the end and gives the exit code and the report.
func (s *started) ended() (int, *provision.Report) {
	s.t.Helper()
	var report *provision.Report
	for l := range s.events {
		if l.Report != nil {
			report = l.Report
		}
	}
	_ = s.cmd.Wait() // the code is looked at
	if report == nil {
		s.t.Fatalf("no report: %s", s.stderr())
	}
	return s.cmd.ProcessState.ExitCode(), report
}

// The first Ctrl-C, SIGTERM, a closed terminal: the step in flight finishes,
// nothing more is begun, the lock is free, and the next run goes on.
func TestInterruptFinishesTheStep(t *testing.T) {
	t.Parallel()
	for _, signals := range [][]os.Signal{
		{os.Interrupt}, {syscall.SIGTERM, syscall.SIGTERM}, {syscall.SIGHUP, syscall.SIGHUP},
	} {
		t.Run(fmt.Sprint(signals[0]), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeOneMember(t, dir, "")
			o := newOperator(t, dir)
			s := o.start("apply", "-y")
			s.began(plan.KindStart)
			for _, sig := range signals {
				s.signal(sig)
				s.said("finishing 1 step in flight (Ctrl-C again abandons it)")
			}
			code, report := s.ended()
			if code != exitInterrupted {
				t.Errorf("exit code %d: %s", code, s.stderr())
			}
			for _, st := range report.Steps {
				want := provision.Changed
				if strings.HasPrefix(st.ID, string(plan.KindRecord)) || st.ID == string(plan.KindRemember) {
					want = provision.Unreached
				}
				if st.Result != want {
					t.Errorf("%s: %s (%s)", st.ID, st.Result, st.Error)
				}
			}
			o.run(exitDone, "status")
			o.run(exitDone, "apply", "-y")
			o.run(exitDone, "destroy", "-y")
		})
	}
}

// The second Ctrl-C abandons a step that would hang for minutes.
func TestSecondInterruptAbandonsTheStep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stuck := filepath.Join(dir, "stuck-kvserver")
	build := exec.Command("go", "build", "-ldflags", "-X main.real="+filepath.Join(binFolder(t), "kvserver"), "-o", stuck, "./testdata/stuck")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	writeOneMember(t, dir, stuck)
	o := newOperator(t, dir)
	s := o.start("apply", "-y")
	s.began(plan.KindStart)
	s.signal(os.Interrupt)
	s.said("finishing 1 step in flight (Ctrl-C again abandons it)")
	s.signal(os.Interrupt)
	s.said("abandoning 1 step in flight (Ctrl-C again leaves at once)")
	code, report := s.ended()
	if code != exitInterrupted || report.Counts[provision.Incomplete] != 1 {
		t.Errorf("exit code %d, %v: %s", code, report.Counts, s.stderr())
	}
	// The next plan says what it left; what killed runs left is known too.
	done := report.Counts[provision.Changed] + report.Counts[provision.Unchanged]
	left := fmt.Sprintf(`ended after %d of %d steps: interrupted at "bootstrap with etcd1"; this plan goes on`, done, len(report.Steps))
	if out := o.run(exitDone, "plan"); !strings.Contains(out, "run "+report.Run+" (apply, by ") || !strings.Contains(out, left) {
		t.Errorf("the plan does not begin with what the run left:\n%s", out)
	}
	s = o.start("apply", "-y")
	s.began(plan.KindStart)
	if out := o.run(exitDone, "audit", "--local"); !strings.Contains(out, " under way ") {
		t.Errorf("the run is under way:\n%s", out)
	}
	s.signal(os.Kill)
	_ = s.cmd.Wait() // it was killed
	if out := o.run(exitDone, "audit"); !strings.Contains(out, " cut off ") || !strings.Contains(out, " interrupted ") {
		t.Errorf("one run was interrupted, one killed:\n%s", out)
	}
	if out := o.run(exitDone, "plan"); !strings.Contains(out, `: cut off at "`) {
		t.Errorf("the plan does not begin with what the killed run left:\n%s", out)
	}
	o.run(exitDone, "destroy", "-y") // the lock is free
}

// A reader that goes away ends the output, not the run, and not its exit code;
// so does a terminal.
func TestClosedPipe(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"apply", "-y"}, {"apply", "-y", "--json"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeOneMember(t, dir, "")
			o := newOperator(t, dir)
			c := o.command(args...)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			c.Stdout, c.Stderr = w, w
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			if _, err := r.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			r.Close()
			if err := c.Wait(); err != nil {
				t.Errorf("the run ended with %v", err)
			}
			o.run(exitDone, "plan", "--detailed-exitcode") // all was done
			o.run(exitDone, "destroy", "-y")
		})
	}
}

// What a stream drops, and what it does not.
func TestStream(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{file: w}
	if _, err := io.WriteString(s, "x"); err != nil || unread(s) {
		t.Errorf("an open pipe: %v", err)
	}
	r.Close()
	for range 2 {
		if n, err := io.WriteString(s, "xyz"); n != 3 || err != nil || !unread(s) {
			t.Errorf("a closed pipe: %d, %v", n, err)
		}
	}
	p := &process{in: strings.NewReader("yes\n"), out: s, inTerminal: true}
	if err := (&carrying{p: p}).approve(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "nobody sees the question") {
		t.Errorf("asking nobody: %v", err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	defer full.Close()
	if _, err := io.WriteString(&stream{file: full}, "x"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk: %v", err)
	}
}

// Ctrl-C while waiting for another run: it ends at once, with its own exit
// code, and nothing was touched.
func TestInterruptedWait(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("/proc tells whether the lock is being waited for")
	}
	dir := t.TempDir()
	text := "cluster \"one\" {\n  connection { type = \"local\" }\n  member \"etcd1\" { address = \"127.0.0.1\" }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ".quorate/one/etcd1.lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}

	c := newOperator(t, dir).command("apply", "-y", "--lock-timeout", "10m")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
	defer stuck.Stop()
	for deadline := time.Now().Add(time.Minute); !holdsOpen(c.Process.Pid, path); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to the lock: %s", out.String())
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // the code is looked at
	if got := c.ProcessState.ExitCode(); got != exitInterrupted {
		t.Errorf("exit code %d: %s", got, out.String())
	}
	if !strings.Contains(out.String(), "stopping (Ctrl-C again leaves at once)") {
		t.Errorf("it said %q", out.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "pki")); err == nil {
		t.Error("something was made")
	}
}

// holdsOpen reports whether a process, or a child of it, has a file open.
func holdsOpen(pid int, path string) bool {
	pids := []string{fmt.Sprint(pid)}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		pids = append(pids, strings.Fields(string(b))...)
	}
	for _, p := range pids {
		fds, _ := filepath.Glob("/proc/" + p + "/fd/*")
		for _, fd := range fds {
			if at, err := os.Readlink(fd); err == nil && at == path {
				return true
			}
		}
	}
	return false
}
