// Package supervise keeps one process running where there is no service
// manager to do it: the members of a cluster on a laptop. It starts what a
// service file says, listens for its readiness as systemd would, restarts it
// on failure, stops it gracefully, and writes down what is so in a state file.
//
// One supervisor runs per service: it holds an flock on the pid file. It
// removes nothing but its own socket, and it does not go into the background
// by itself: whoever starts it does that.
package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Unit is the service file.
type Unit struct {
	Argv []string          `json:"argv"` // argv[0] is a path
	Env  map[string]string `json:"env"`  // on top of the supervisor's own
	Dir  string            `json:"dir"`
	// LogFile takes the output of child and supervisor, appended; empty: the supervisor's standard error.
	LogFile string `json:"log_file"`
	// PIDFile holds the supervisor's pid, and its flock as long as it lives.
	PIDFile   string `json:"pid_file"`
	StateFile string `json:"state_file"`
	// RestartDelayMS is the wait before a child that failed is started again.
	RestartDelayMS int64 `json:"restart_delay_ms"`
	// StopTimeoutMS is the time between SIGTERM and SIGKILL.
	StopTimeoutMS int64 `json:"stop_timeout_ms"`
	// FormedArgv is run each time the child says that it is ready, before the
	// state file says so, with the child's environment and folder. What it
	// prints and how it fails goes to the log; it never ends the child. Empty: nothing is run.
	FormedArgv []string `json:"formed_argv,omitempty"`
}

// State is what the supervisor writes into the state file, atomically, at
// every change. It counts only while the pid file's flock is held.
type State struct {
	SupervisorPID int `json:"supervisor_pid"`
	PID           int `json:"pid"` // of the child, 0 if none runs
	// StartedAt is when the child was.
	StartedAt time.Time `json:"started_at"`
	// Ready: the child has said so, and FormedArgv has been run.
	Ready bool `json:"ready"`
	// Exe is what the child runs; ExeDigest its sha256 (a moment after Ready);
	// ConfigDigest what the child says it runs with. Empty when not known.
	Exe          string `json:"exe"`
	ExeDigest    string `json:"exe_digest"`
	ConfigDigest string `json:"config_digest"`
	// Restarts counts the failures since the supervisor started.
	Restarts int `json:"restarts"`
	// LastExit is the exit status of the last child that ended: 128 + the
	// signal if one ended it, 127 if it could not be started; 0 also when it
	// ended because it was asked to.
	LastExit int `json:"last_exit"`
}

// Load reads and checks a service file.
func Load(path string) (Unit, error) {
	var u Unit
	text, err := os.ReadFile(path)
	if err != nil {
		return u, fmt.Errorf("cannot read the service file: %w", err)
	}
	if err := json.Unmarshal(text, &u); err != nil {
		return u, fmt.Errorf("cannot read the service file %s: %w", path, err)
	}
	fail := func(what string) (Unit, error) {
		return u, fmt.Errorf("cannot use the service file %s: %s", path, what)
	}
	if len(u.Argv) == 0 || !filepath.IsAbs(u.Argv[0]) {
		return fail("argv has to start with the absolute path of a program")
	}
	if len(u.FormedArgv) > 0 && !filepath.IsAbs(u.FormedArgv[0]) {
		return fail("formed_argv has to start with the absolute path of a program")
	}
	for what, p := range map[string]string{"pid_file": u.PIDFile, "state_file": u.StateFile} {
		if !filepath.IsAbs(p) {
			return fail(what + " has to be an absolute path")
		}
	}
	if u.RestartDelayMS < 0 || u.StopTimeoutMS <= 0 {
		return fail("restart_delay_ms must not be negative, and stop_timeout_ms has to be positive")
	}
	return u, nil
}

// ErrRunning says that another supervisor has this service.
var ErrRunning = errors.New("another supervisor runs it")

// Run supervises until ctx ends, then stops the child and returns nil; or until the child
// ends with success, which a member does that was removed from its cluster.
// Failures of the child are restarts, not errors of Run.
func Run(ctx context.Context, u Unit, now func() time.Time) error {
	lock, err := acquire(u.PIDFile)
	if err != nil {
		return err
	}
	defer lock.Close()
	log := os.Stderr
	if u.LogFile != "" {
		log, err = os.OpenFile(u.LogFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("cannot open the log: %w", err)
		}
		defer log.Close()
	}
	s := &supervisor{unit: u, now: now, log: log, state: State{SupervisorPID: os.Getpid()}}
	return s.run(ctx)
}

// write puts the state in place, whole.
func (s State) write(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
