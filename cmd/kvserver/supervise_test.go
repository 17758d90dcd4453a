package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"quorate/kvserver/node"
	"quorate/kvserver/servertest"
	"quorate/kvserver/supervise"
)

// service is one supervised service of a test.
type service struct {
	t    *testing.T
	dir  string
	file string
	unit node.Service
}

func newService(t *testing.T, argv ...string) *service {
	t.Helper()
	dir := t.TempDir()
	s := &service{t: t, dir: dir, file: filepath.Join(dir, "service.json"), unit: node.Service{
		Argv: argv, Dir: dir, LogFile: filepath.Join(dir, "log"), PIDFile: filepath.Join(dir, "pid"), StateFile: filepath.Join(dir, "state.json"),
		RestartDelayMS: 10, StopTimeoutMS: 60000,
	}}
	s.save()
	return s
}

func (s *service) save() {
	s.t.Helper()
	text, err := json.Marshal(s.unit)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.file, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start runs `kvserver supervise` as a process of its own.
func (s *service) start() *exec.Cmd {
	s.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	c := exec.Command(exe, "supervise", "--unit", s.file)
	c.Env = append(os.Environ(), "QUORATE_SERVERTEST_MAIN=1", "NOTIFY_SOCKET=/nowhere")
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
		if s.t.Failed() {
			log, _ := os.ReadFile(s.unit.LogFile)
			s.t.Logf("log:\n%s", log[max(0, len(log)-4000):])
		}
	})
	return c
}

// until waits for a state.
func (s *service) until(what string, ok func(node.ServiceState) bool) node.ServiceState {
	s.t.Helper()
	var st node.ServiceState
	servertest.Until(s.t, what, func(context.Context) error {
		text, err := os.ReadFile(s.unit.StateFile)
		if err != nil {
			return err
		}
		st = node.ServiceState{}
		if err := json.Unmarshal(text, &st); err != nil {
			s.t.Fatalf("a torn state file: %v", err)
		}
		if !ok(st) {
			return fmt.Errorf("state %+v", st)
		}
		return nil
	})
	return st
}

// free reports whether nobody holds the service's lock.
func (s *service) free() bool {
	s.t.Helper()
	f, err := os.Open(s.unit.PIDFile)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// A whole supervised member: born, killed, restarted, stopped.
func TestSuperviseMember(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	c := servertest.New(t, 1)
	m := c.Members[0]
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, exe, "serve", "--config-file", m.ConfigFile, "--bootstrap-file", m.BootstrapFile, "--unit-file", m.UnitFile)
	sup := s.start()
	st := s.until("ready", func(st node.ServiceState) bool { return st.Ready && st.ExeDigest != "" })
	if st.SupervisorPID != sup.Process.Pid || st.ConfigDigest != digest(t, m) || st.Restarts != 0 || st.Exe != exe || st.StartedAt.IsZero() {
		t.Errorf("%+v", st)
	}
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(text); st.ExeDigest != hex.EncodeToString(sum[:]) {
		t.Errorf("%+v", st)
	}
	if pid, _ := os.ReadFile(s.unit.PIDFile); strings.TrimSpace(string(pid)) != fmt.Sprint(sup.Process.Pid) {
		t.Errorf("pid file %q", pid)
	}
	if err := c.Admin().Health(t.Context(), "m1"); err != nil {
		t.Error(err)
	}

	// A second supervisor is refused, and changes nothing.
	second := exec.Command(exe, "supervise", "--unit", s.file)
	second.Env = append(os.Environ(), "QUORATE_SERVERTEST_MAIN=1")
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), fmt.Sprintf("another supervisor runs it (pid %d,", sup.Process.Pid)) {
		t.Errorf("%v %s", err, out)
	}

	syscall.Kill(st.PID, syscall.SIGKILL)
	again := s.until("restarted", func(n node.ServiceState) bool { return n.Ready && n.PID != st.PID })
	if again.Restarts != 1 || again.LastExit != 128+9 || again.ConfigDigest != digest(t, m) || !again.StartedAt.After(st.StartedAt) {
		t.Errorf("%+v", again)
	}

	sup.Process.Signal(syscall.SIGTERM)
	if err := sup.Wait(); err != nil {
		t.Error(err)
	}
	end := s.until("stopped", func(st node.ServiceState) bool { return st.PID == 0 })
	if end.Ready || end.LastExit != 0 || alive(again.PID) || !s.free() {
		t.Errorf("%+v, alive %v", end, alive(again.PID))
	}

	// The supervisor killed: its child is not left alone with the ports.
	sup = s.start()
	st = s.until("ready again", func(st node.ServiceState) bool { return st.Ready })
	sup.Process.Kill()
	sup.Wait()
	servertest.Until(t, "the orphan's end", func(context.Context) error {
		if alive(st.PID) {
			return errors.New("still there")
		}
		return nil
	})
}

func TestSuperviseProcess(t *testing.T) {
	t.Parallel()
	sh := "/bin/sh"

	t.Run("ends with success", func(t *testing.T) {
		t.Parallel()
		s := newService(t, sh, "-c", `echo hello "$GREETING"; exit 0`)
		s.unit.Env = map[string]string{"GREETING": "world"}
		s.save()
		if err := s.start().Wait(); err != nil {
			t.Error(err)
		}
		st := s.until("end", func(st node.ServiceState) bool { return st.PID == 0 })
		if st.LastExit != 0 || st.Restarts != 0 || st.Ready {
			t.Errorf("%+v", st)
		}
		if log, _ := os.ReadFile(s.unit.LogFile); string(log) != "hello world\n" {
			t.Errorf("log %q", log)
		}
	})
	t.Run("fails again and again", func(t *testing.T) {
		t.Parallel()
		s := newService(t, sh, "-c", "exit 3")
		sup := s.start()
		s.until("restarts", func(st node.ServiceState) bool { return st.Restarts >= 3 && st.LastExit == 3 })
		sup.Process.Signal(syscall.SIGTERM)
		if err := sup.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("cannot be started", func(t *testing.T) {
		t.Parallel()
		s := newService(t, filepath.Join(t.TempDir(), "missing"))
		sup := s.start()
		s.until("tries", func(st node.ServiceState) bool { return st.Restarts >= 2 && st.LastExit == 127 && st.PID == 0 })
		// Put there, it runs.
		if err := os.Symlink(sh, s.unit.Argv[0]); err != nil {
			t.Fatal(err)
		}
		s.until("success", func(st node.ServiceState) bool { return st.LastExit == 0 })
		if err := sup.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("does not stop", func(t *testing.T) {
		t.Parallel()
		s := newService(t, sh, "-c", `trap "" TERM; echo ready; while :; do sleep 1; done`)
		s.unit.StopTimeoutMS = 100
		s.save()
		sup := s.start()
		servertest.Until(t, "the trap", func(context.Context) error {
			if log, _ := os.ReadFile(s.unit.LogFile); len(log) == 0 {
				return errors.New("not set yet")
			}
			return nil
		})
		sup.Process.Signal(syscall.SIGTERM)
		if err := sup.Wait(); err != nil {
			t.Error(err)
		}
		if st := s.until("end", func(st node.ServiceState) bool { return st.PID == 0 }); st.LastExit != 128+9 {
			t.Errorf("%+v", st)
		}
	})
}

func TestSuperviseRefusals(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*node.Service){
		"argv has to start with":                   func(u *node.Service) { u.Argv = nil },
		"argv has to start with the absolute path": func(u *node.Service) { u.Argv[0] = "sh" },
		"formed_argv has to start with":            func(u *node.Service) { u.FormedArgv = []string{"kvserver"} },
		"pid_file has to be an absolute path":      func(u *node.Service) { u.PIDFile = "pid" },
		"state_file has to be an absolute path":    func(u *node.Service) { u.StateFile = "" },
		"stop_timeout_ms has to be positive":       func(u *node.Service) { u.StopTimeoutMS = 0 },
	} {
		s := newService(t, "/bin/sh")
		spoil(&s.unit)
		s.save()
		if _, err := supervise.Load(s.file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), s.file) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := runSupervise(""); err == nil {
		t.Error("no unit, no error")
	}
	if _, err := supervise.Load("/nowhere"); err == nil {
		t.Error("no file, no error")
	}
}
