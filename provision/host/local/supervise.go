package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"quorate/kvserver/node"
	"quorate/provision/host"
)

// poll is how often a process that starts or stops is looked at.
const poll = 20 * time.Millisecond

// logBytes is how much of the end of its log a unit that is not well is judged by.
const logBytes = 64 << 10

// supervised is the service manager of a local host. A unit's name is the path
// of its service file; `kvserver supervise --unit FILE` runs it, one process per
// unit, and says in the state file how it is. There is nothing to reload, and a
// unit that is there counts as enabled: nothing starts it but a run.
type supervised struct{ c Config }

func (s *supervised) Manager() string { return "supervise" }

func (s *supervised) State(ctx context.Context, units []string, known map[string]string) (map[string]host.UnitState, error) {
	out := map[string]host.UnitState{}
	for _, u := range units {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := look(u)
		if err != nil {
			return nil, err
		}
		s, err := v.unitState(known)
		if err != nil {
			return nil, err
		}
		if s.Active == "activating" || s.Active == "failed" {
			host.ReadLog(&s, tail(v.service.LogFile, 0))
		}
		out[u] = s
	}
	return out, nil
}

// view is one look at a unit: its files, and who lives.
type view struct {
	loaded  bool
	masked  bool // the service file is a link to /dev/null
	service node.Service
	state   node.ServiceState
	changed time.Time // the state file
	held    bool      // a supervisor runs
	orphan  bool      // none runs, and yet the process it left lives
}

// look reads a unit's files. A unit without a service file is not loaded.
func look(unit string) (view, error) {
	var v view
	text, err := os.ReadFile(unit)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	if to, err := os.Readlink(unit); err == nil && to == os.DevNull {
		v.loaded, v.masked = true, true
		return v, nil
	}
	if err := json.Unmarshal(text, &v.service); err != nil {
		return v, fmt.Errorf("the service file %s: %w", unit, err)
	}
	if len(v.service.Argv) == 0 || v.service.PIDFile == "" || v.service.StateFile == "" || v.service.LogFile == "" {
		return v, fmt.Errorf("the service file %s lacks argv, pid_file, state_file or log_file", unit)
	}
	v.loaded = true
	text, err = os.ReadFile(v.service.StateFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	if err == nil {
		if err := json.Unmarshal(text, &v.state); err != nil {
			return v, fmt.Errorf("the state file %s: %w", v.service.StateFile, err)
		}
		if info, err := os.Stat(v.service.StateFile); err == nil {
			v.changed = info.ModTime()
		}
	}
	pid := v.state.SupervisorPID
	if text, err := os.ReadFile(v.service.PIDFile); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			pid = n
		}
	}
	if v.held, err = held(v.service.PIDFile, pid); err != nil {
		return v, err
	}
	if v.held && pid != v.state.SupervisorPID {
		v.state = node.ServiceState{SupervisorPID: pid} // it has just begun: the state is its predecessor's
	}
	v.orphan = !v.held && alive(v.state.PID) && startedAt(v.state.PID, v.state.StartedAt)
	return v, nil
}

// active says it in systemd's words.
func (v view) active() string {
	switch {
	case v.held && v.state.Ready && alive(v.state.PID):
		return "active"
	case v.held:
		return "activating"
	case v.state.LastExit != 0 || v.orphan:
		return "failed"
	}
	return "inactive"
}

func (v view) unitState(known map[string]string) (host.UnitState, error) {
	u := host.UnitState{Loaded: v.loaded, Masked: v.masked, Enabled: v.loaded && !v.masked, Active: v.active(), Since: v.changed, Restarts: v.state.Restarts}
	u.Sub = map[string]string{"active": "running", "activating": "start", "failed": "failed", "inactive": "dead"}[u.Active]
	switch {
	case v.orphan:
		u.Sub = "orphaned"
	case v.waiting():
		u.Sub = "auto-restart"
		u.Restarts-- // the failure is counted, the restart is still to come
	}
	switch {
	case v.state.LastExit > 128:
		u.Result, u.ExitStatus = "signal", v.state.LastExit-128
	case v.state.LastExit != 0:
		u.Result, u.ExitStatus = "exit-code", v.state.LastExit
	case !v.changed.IsZero():
		u.Result = "success"
	}
	if !v.held || !alive(v.state.PID) {
		return u, nil
	}
	u.PID, u.StartedAt, u.Exe = v.state.PID, v.state.StartedAt, v.state.Exe
	u.ExeDigest, u.ConfigDigest = v.state.ExeDigest, v.state.ConfigDigest
	return u, fromProc(&u, known)
}

// waiting reports whether its supervisor is about to start the process once more.
func (v view) waiting() bool { return v.held && v.state.PID == 0 && v.state.Restarts > 0 }

func alive(pid int) bool {
	return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// held reports whether a supervisor holds the unit's pid file. The lock is only
// tried where the process that wrote the files lives: trying it would be in
// the way of a supervisor that is just starting.
func held(pidFile string, pid int) (bool, error) {
	if !alive(pid) {
		return false, nil
	}
	l := flock.New(pidFile, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	return !free, l.Unlock()
}

// Service starts and stops; the waits are the request's.
func (s *supervised) Service(ctx context.Context, r host.ServiceRequest, known map[string]string) (host.UnitState, error) {
	v, err := look(r.Unit)
	if err != nil {
		return host.UnitState{}, err
	}
	var logFrom int64
	cause := ""
	if r.Verb == "stop" || r.Verb == "restart" {
		wait := r.Wait
		if r.Verb == "restart" {
			wait = max(wait, 30*time.Second) // the start must not meet the old process
		}
		cause, err = s.stop(ctx, r.Unit, wait, s.teller(r.Progress, known))
	}
	if (r.Verb == "start" || r.Verb == "restart") && cause == "" && err == nil {
		switch {
		case !v.loaded:
			cause = "there is no such service file"
		case v.masked:
			cause = "it is masked: its service file is a link to /dev/null"
		case r.Verb == "restart" || v.active() != "active":
			logFrom, cause, err = s.start(ctx, r.Unit, r.Wait, s.teller(r.Progress, known))
		}
	}
	if err != nil {
		return host.UnitState{}, err
	}
	v, err = look(r.Unit)
	if err != nil {
		return host.UnitState{}, err
	}
	u, err := v.unitState(known)
	if err != nil || cause == "" {
		return u, err
	}
	host.ReadLog(&u, tail(v.service.LogFile, logFrom))
	return u, &host.ServiceError{Host: s.c.Name, Unit: r.Unit, Verb: r.Verb, State: u, Cause: cause}
}

// tellAgain is how often a state that stays the same is told: host.ServiceRequest's.
const tellAgain = 5 * time.Second

// teller tells a unit's state when it changes, and every five seconds. The
// first state is only the one to compare with.
func (s *supervised) teller(progress func(host.UnitState), known map[string]string) func(view) {
	var last host.UnitState
	var at time.Time
	return func(v view) {
		if progress == nil {
			return
		}
		u, err := v.unitState(known)
		if err != nil {
			return // the end of the wait will say it
		}
		u = host.UnitState{Loaded: u.Loaded, Active: u.Active, Sub: u.Sub, Restarts: u.Restarts, PID: u.PID}
		now := s.c.Now()
		if at.IsZero() {
			last, at = u, now
			return
		}
		if u.Active != last.Active || u.Sub != last.Sub || u.Restarts != last.Restarts || u.PID != last.PID || now.Sub(at) >= tellAgain {
			last, at = u, now
			progress(u)
		}
	}
}

// start runs a supervisor unless one runs, and waits until the unit is ready,
// or has ended by itself too often.
func (s *supervised) start(ctx context.Context, unit string, wait time.Duration, tell func(view)) (logFrom int64, cause string, err error) {
	v, err := look(unit)
	if err != nil {
		return 0, "", err
	}
	if v.orphan {
		if err := s.endOrphan(ctx, v); err != nil {
			return 0, "", err
		}
	}
	exited := make(chan error, 1)
	if !v.held {
		if logFrom, err = s.spawn(unit, v.service, exited); err != nil {
			return logFrom, "", err
		}
	}
	cause, err = until(ctx, wait, func() (over bool, cause string, err error) {
		now, err := look(unit)
		if err != nil || now.active() == "active" {
			return true, "", err
		}
		n := now.state.Restarts
		if now.state.SupervisorPID == v.state.SupervisorPID {
			n -= v.state.Restarts // before the wait; a new supervisor has not written its own state yet
		}
		if now.held && n >= host.MaxExits {
			return true, fmt.Sprintf("it ended %d times", n), nil
		}
		tell(now)
		select {
		case end := <-exited:
			return true, fmt.Sprintf("its supervisor ended: %v", end), nil
		default:
			return false, "", nil
		}
	})
	return logFrom, cause, err
}

// spawn starts a supervisor in a session of its own, so that it outlives this one.
func (s *supervised) spawn(unit string, sv node.Service, exited chan<- error) (int64, error) {
	if err := os.MkdirAll(filepath.Dir(sv.LogFile), 0o755); err != nil {
		return 0, err
	}
	log, err := os.OpenFile(sv.LogFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(sv.Argv[0], "supervise", "--unit", unit)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.c.Env, "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return from, err
	}
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		exited <- err
	}()
	return from, nil
}

// stop ends the unit's supervisor, which ends the process, and waits until both are gone.
func (s *supervised) stop(ctx context.Context, unit string, wait time.Duration, tell func(view)) (cause string, err error) {
	v, err := look(unit)
	if err != nil {
		return "", err
	}
	if v.orphan {
		return "", s.endOrphan(ctx, v)
	}
	if !v.held {
		return "", nil
	}
	if err := syscall.Kill(v.state.SupervisorPID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return "", err
	}
	return until(ctx, wait, func() (gone bool, cause string, err error) {
		now, err := look(unit)
		tell(now)
		return !now.held && !alive(v.state.PID), "", err
	})
}

// endOrphan ends a process whose supervisor was killed.
func (s *supervised) endOrphan(ctx context.Context, v view) error {
	if err := syscall.Kill(v.state.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	cause, err := until(ctx, 30*time.Second, func() (bool, string, error) { return !alive(v.state.PID), "", nil })
	if cause != "" {
		err = fmt.Errorf("process %d, left by a supervisor that was killed, does not end: %s", v.state.PID, cause)
	}
	return err
}

// until asks again and again whether it is over, and with what cause; when the time is over it says so. It
// does not wait at all if wait is 0.
func until(ctx context.Context, wait time.Duration, ask func() (over bool, cause string, err error)) (cause string, err error) {
	if wait <= 0 {
		return "", nil
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if over, cause, err := ask(); over || err != nil {
			return cause, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-deadline.C:
			return fmt.Sprintf("timed out after %s", wait), nil
		case <-tick.C:
		}
	}
}

// tail reads the end of a log, from an offset on; what cannot be read is "".
func tail(name string, from int64) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		from = max(from, end-logBytes)
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return ""
	}
	text, _ := io.ReadAll(f)
	return string(text)
}
