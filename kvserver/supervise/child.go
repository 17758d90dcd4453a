package supervise

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"quorate/internal/durable"
	"quorate/kvserver/node"
)

type supervisor struct {
	unit  node.Service
	now   func() time.Time
	log   *os.File
	state node.ServiceState
}

func (s *supervisor) run(ctx context.Context) error {
	// Where the kernel can signal a child whose parent died, "parent" is the
	// thread that forked it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		code := s.once(ctx)
		asked := ctx.Err() != nil
		s.state.PID, s.state.Ready, s.state.LastExit = 0, false, code
		s.state.ExeDigest, s.state.ConfigDigest = "", ""
		if !asked && code != 0 {
			s.state.Restarts++
		}
		s.save()
		if asked || code == 0 {
			return nil
		}
		s.say("%s ended with status %d; starting it again in %d ms", s.unit.Argv[0], code, s.unit.RestartDelayMS)
		select {
		case <-time.After(time.Duration(s.unit.RestartDelayMS) * time.Millisecond):
		case <-ctx.Done():
			s.state.LastExit = 0 // stopped when asked to
			s.save()
			return nil
		}
	}
}

// once runs the child until it ends, or until ctx ends and it has been stopped; it returns the status.
func (s *supervisor) once(ctx context.Context) int {
	listener, err := listen()
	if err != nil {
		s.say("cannot listen for readiness: %v", err)
		return 127
	}
	defer listener.Close()
	cmd := exec.Command(s.unit.Argv[0], s.unit.Argv[1:]...)
	cmd.Dir = s.unit.Dir
	cmd.Env = append(environment(s.unit.Env), "NOTIFY_SOCKET="+listener.path)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		s.say("cannot start: %v", err)
		return 127
	}
	s.state.PID, s.state.StartedAt, s.state.Exe = cmd.Process.Pid, s.now(), s.unit.Argv[0]
	s.save()

	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	digest := make(chan string, 1)
	// One at a time, and none beside the next child.
	var formed chan struct{}
	stopping := false
	abandon, cancel := context.WithCancel(context.Background())
	defer func() {
		cancel()
		if formed != nil {
			<-formed
		}
	}()
	var kill <-chan time.Time
	stop := ctx.Done()
	for {
		select {
		case err := <-ended:
			return status(err, ctx.Err() != nil)
		case <-stop:
			stop = nil
			_ = cmd.Process.Signal(syscall.SIGTERM)
			kill = time.After(time.Duration(s.unit.StopTimeoutMS) * time.Millisecond)
		case <-kill:
			s.say("it did not stop within %d ms: killing it", s.unit.StopTimeoutMS)
			_ = cmd.Process.Kill()
		case said := <-listener.said:
			s.hear(said)
			stopping = stopping || said["STOPPING"] == "1"
			if said["READY"] == "1" && !s.state.Ready && formed == nil {
				formed = make(chan struct{})
				go func() {
					defer close(formed)
					s.formed(abandon)
				}()
			}
		case <-formed:
			formed = nil
			if !stopping {
				s.ready(digest)
			}
		case d := <-digest:
			s.state.ExeDigest = d
			s.save()
		}
	}
}

// hear takes one message of the child, and writes down what it changed.
func (s *supervisor) hear(said map[string]string) {
	if v, ok := said["X_QUORATE_CONFIG_DIGEST"]; ok {
		s.state.ConfigDigest = v
	}
	if v, ok := said["X_QUORATE_EXE"]; ok {
		s.state.Exe = v
	}
	if said["STOPPING"] == "1" {
		s.state.Ready = false
	}
	s.save()
}

// formedTimeout bounds FormedArgv: it reads and writes a few kilobytes. A disk
// that takes longer than this does not serve either.
const formedTimeout = 30 * time.Second

// formed runs FormedArgv to its end.
func (s *supervisor) formed(ctx context.Context) {
	argv := s.unit.FormedArgv
	if len(argv) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, formedTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = s.unit.Dir
	cmd.Env = environment(s.unit.Env)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		s.say("%s, run because the service is ready, failed: %v", argv[0], err)
	}
}

// ready writes down that the child is, and asks for the digest of what it runs.
func (s *supervisor) ready(digest chan<- string) {
	s.state.Ready = true
	s.save()
	pid, exe := s.state.PID, s.state.Exe
	go func() {
		d, err := runningDigest(pid, exe)
		if err != nil {
			return // unknown stays empty
		}
		select {
		case digest <- d:
		default:
		}
	}()
}

// save writes the state down.
func (s *supervisor) save() {
	text, err := json.MarshalIndent(s.state, "", "  ")
	if err == nil {
		err = durable.Write(durable.File{Path: s.unit.StateFile, Mode: 0o600, UID: -1, GID: -1, Content: append(text, '\n')})
	}
	if err != nil {
		s.say("cannot write the state: %v", err)
	}
}

func (s *supervisor) say(format string, a ...any) {
	fmt.Fprintf(s.log, "kvserver supervise: "+format+"\n", a...)
}

// environment is the supervisor's own without its socket, and the unit's, which
// comes after it and so counts (exec.Cmd).
func environment(unit map[string]string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "NOTIFY_SOCKET=") })
	for _, key := range slices.Sorted(maps.Keys(unit)) {
		env = append(env, key+"="+unit[key])
	}
	return env
}

// status is the exit status; SIGTERM to a child that was asked to stop is success, as systemd has it.
func status(err error, asked bool) int {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		if err != nil {
			return 127
		}
		return 0
	}
	w, ok := exit.Sys().(syscall.WaitStatus)
	switch {
	case !ok:
		return exit.ExitCode()
	case w.Signaled() && w.Signal() == syscall.SIGTERM && asked:
		return 0
	case w.Signaled():
		return 128 + int(w.Signal())
	}
	return w.ExitStatus()
}

// runningDigest is the sha256 of what process pid runs: through /proc where
// there is one, which sees through a file that was replaced meanwhile.
func runningDigest(pid int, exe string) (string, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		if f, err = os.Open(exe); err != nil {
			return "", err
		}
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
