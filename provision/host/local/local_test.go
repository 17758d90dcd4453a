package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"quorate/kvserver/node"
	"quorate/kvserver/supervise"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// TestMain also plays the programs that the tests start: kvserver's supervise
// command, and its children.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "supervise":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		u, err := supervise.Load(os.Args[3])
		if err == nil {
			err = supervise.Run(ctx, u, time.Now)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "good":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
		if err == nil {
			_, err = c.Write([]byte("READY=1"))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		<-ctx.Done()
	case "mute":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		fmt.Fprintln(os.Stderr, "waiting for a quorum")
		<-ctx.Done()
	case "loop":
		fmt.Fprintln(os.Stderr, hosttest.LoopLog)
		os.Exit(1)
	case "bad":
		fmt.Fprintln(os.Stderr, "bad luck")
		os.Exit(1)
	default:
		os.Exit(m.Run())
	}
	os.Exit(0)
}

// unit is a service file whose process is this test's binary.
func unit(t *testing.T, dir, name string) hosttest.Service {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := func(suffix string) string { return filepath.Join(dir, name+suffix) }
	text, err := json.Marshal(map[string]any{
		"argv": []string{exe, name}, "env": map[string]string{node.ConfigDigestEnv: "c0ffee"}, "dir": "/",
		"log_file": p(".log"), "pid_file": p(".pid"), "state_file": p(".state"), "restart_delay_ms": 20, "stop_timeout_ms": 10000,
	})
	if err != nil {
		t.Fatal(err)
	}
	return hosttest.Service{
		Unit:  p(".json"),
		Files: []host.File{{Path: dir, Dir: true, Mode: 0o755}, {Path: p(".json"), Mode: 0o600, Content: text}},
	}
}

func newHost(t *testing.T) (h host.Host, root string) {
	root = filepath.Join(t.TempDir(), "etcd1")
	h = New(Config{Name: "etcd1", Root: root, Now: time.Now})
	t.Cleanup(func() { h.Close() })
	return h, root
}

func TestSuite(t *testing.T) {
	hosttest.Suite(t, func(t *testing.T) hosttest.Fixture {
		root := filepath.Join(t.TempDir(), "etcd1")
		dir := filepath.Join(root, "suite")
		address, port := talker(t)
		return hosttest.Fixture{
			Open: func(t *testing.T) host.Host { return New(Config{Name: "etcd1", Root: root, Now: time.Now}) },
			Dir:  dir, Elsewhere: hosttest.Shm(t), Talker: address, ListeningPort: port,
			Services: &hosttest.Services{Good: unit(t, dir, "good"), Bad: unit(t, dir, "bad"), Loop: unit(t, dir, "loop"), Hang: unit(t, dir, "mute"), Wait: 5 * time.Second},
		}
	})
}

// talker listens on this machine and greets whoever connects.
func talker(t *testing.T) (address string, port int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("hello"))
			c.Close()
		}
	}()
	return l.Addr().String(), l.Addr().(*net.TCPAddr).Port
}

// running starts a unit and stops it when the test is over.
func running(t *testing.T, h host.Host, s hosttest.Service, wait time.Duration) (host.UnitState, error) {
	t.Helper()
	if _, err := h.Write(t.Context(), host.WriteRequest{Files: s.Files}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's context is over when cleanups run.
		if _, err := h.Service(context.WithoutCancel(t.Context()), host.ServiceRequest{Unit: s.Unit, Verb: "stop", Wait: time.Minute}); err != nil {
			t.Error(err)
		}
	})
	return h.Service(t.Context(), host.ServiceRequest{Unit: s.Unit, Verb: "start", Wait: wait})
}

func stateOf(t *testing.T, h host.Host, unit string) host.UnitState {
	t.Helper()
	l, err := h.Look(t.Context(), host.Query{Units: []string{unit}})
	if err != nil {
		t.Fatal(err)
	}
	return l.Units[unit]
}

func TestWhatAProcessRunsWith(t *testing.T) {
	t.Parallel()
	h, root := newHost(t)
	s := unit(t, root, "good")
	u, err := running(t, h, s, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l, err := h.Look(t.Context(), host.Query{Files: []host.FileQuery{{Path: exe}}, Units: []string{s.Unit}})
	if err != nil {
		t.Fatal(err)
	}
	if want := l.Files[exe].Digest; u.ExeDigest != want || l.Units[s.Unit].ExeDigest != want || u.Exe != exe {
		t.Errorf("the process runs %s %s, the file is %s %s", u.Exe, u.ExeDigest, exe, want)
	}
	if u.ConfigDigest != "c0ffee" {
		t.Errorf("configuration digest %q", u.ConfigDigest)
	}
}

func TestAUnitThatIsNotReady(t *testing.T) {
	t.Parallel()
	h, root := newHost(t)
	s := unit(t, root, "mute")
	if _, err := running(t, h, s, 0); err != nil {
		t.Fatal(err)
	}
	for log := ""; !strings.Contains(log, "quorum"); time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(root, "mute.log"))
		if err != nil {
			t.Fatal(err)
		}
		log = string(text)
	}
	_, err := h.Service(t.Context(), host.ServiceRequest{Unit: s.Unit, Verb: "start", Wait: 300 * time.Millisecond})
	var failed *host.ServiceError
	if !errors.As(err, &failed) || failed.State.Active != "activating" || !strings.Contains(failed.Cause, "timed out after 300ms") {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(failed.State.Log, "waiting for a quorum") {
		t.Errorf("the log reads %q", failed.State.Log)
	}
	if u, err := h.Service(t.Context(), host.ServiceRequest{Unit: s.Unit, Verb: "start"}); err != nil || u.Active != "activating" {
		t.Errorf("without waiting: %+v, %v", u, err)
	}
	if u, err := h.Service(t.Context(), host.ServiceRequest{Unit: s.Unit, Verb: "stop", Wait: time.Minute}); err != nil || u.Active != "inactive" {
		t.Errorf("stopped: %+v, %v", u, err)
	}
}

func TestAKilledSupervisor(t *testing.T) {
	t.Parallel()
	h, root := newHost(t)
	s := unit(t, root, "good")
	before, err := running(t, h, s, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "good.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for alive(pid) {
		time.Sleep(time.Millisecond)
	}
	if u := stateOf(t, h, s.Unit); u.Active == "active" || u.PID != 0 {
		t.Errorf("without its supervisor: %+v", u)
	}
	u, err := h.Service(t.Context(), host.ServiceRequest{Unit: s.Unit, Verb: "start", Wait: time.Minute})
	if err != nil || u.Active != "active" || u.PID == before.PID {
		t.Errorf("started again: %+v, %v", u, err)
	}
}

func TestBrokenServiceFiles(t *testing.T) {
	t.Parallel()
	h, root := newHost(t)
	for name, text := range map[string]string{"json": "{", "empty": "{}"} {
		p := filepath.Join(root, name)
		if _, err := h.Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: p, Mode: 0o600, Content: []byte(text)}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Look(t.Context(), host.Query{Units: []string{p}}); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := h.Service(t.Context(), host.ServiceRequest{Unit: p, Verb: "start", Wait: time.Second}); err == nil {
			t.Errorf("%s was started", name)
		}
	}
}

// A lock taken by flock(1), as over SSH, and one taken here know one another.
func TestLocksMeetFlock(t *testing.T) {
	t.Parallel()
	h, root := newHost(t)
	path := filepath.Join(root, "lock")
	unlock, err := h.Lock(t.Context(), host.LockRequest{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	try := host.Command{Argv: []string{"flock", "-n", path, "true"}}
	if _, err := h.Run(t.Context(), try); err == nil {
		t.Error("flock(1) took the lock as well")
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Run(t.Context(), try); err != nil {
		t.Errorf("after Unlock: %v", err)
	}
}

// What a run that died has begun on this machine is over before the next one has the lock.
func TestWhatADeadRunBegan(t *testing.T) {
	t.Parallel()
	dead, root := newHost(t)
	request := host.LockRequest{Path: filepath.Join(root, "lock"), Wait: 10 * time.Second}
	unlock, err := dead.Lock(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	begun, over := filepath.Join(root, "begun"), filepath.Join(root, "over")
	ended := make(chan error, 1)
	go func() {
		_, err := dead.Run(t.Context(), host.Command{Argv: []string{"sh", "-c", ": >" + begun + "; sleep 1; : >" + over}})
		ended <- err
	}()
	for _, err := os.Stat(begun); err != nil; _, err = os.Stat(begun) {
		time.Sleep(time.Millisecond)
	}
	if err := unlock(); err != nil { // as the kernel does it for a process that is gone
		t.Fatal(err)
	}
	next := New(Config{Name: "etcd1", Root: root, Now: time.Now})
	defer next.Close()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := next.Lock(short, request); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while a command runs: %v", err)
	}
	if _, err := next.Lock(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(over); err != nil {
		t.Errorf("the lock was given while a command of the dead run was under way: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := next.Run(t.Context(), host.Command{Argv: []string{"true"}}); err != nil {
		t.Error(err)
	}
}

func TestTheEnvironmentIsTheOneGiven(t *testing.T) {
	t.Setenv("QUORATE_VAR_password", "secret")
	h, _ := newHost(t)
	r, err := h.Run(t.Context(), host.Command{Argv: []string{"env"}})
	if err != nil || strings.Contains(string(r.Stdout), "secret") || !strings.Contains(string(r.Stdout), "PATH=") {
		t.Fatalf("%q, %v", r.Stdout, err)
	}
}
