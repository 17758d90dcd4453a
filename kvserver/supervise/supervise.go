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

	"quorate/kvserver/node"
)

// Load reads and checks a service file.
func Load(path string) (node.Service, error) {
	var u node.Service
	text, err := os.ReadFile(path)
	if err != nil {
		return u, fmt.Errorf("cannot read the service file: %w", err)
	}
	if err := json.Unmarshal(text, &u); err != nil {
		return u, fmt.Errorf("cannot read the service file %s: %w", path, err)
	}
	fail := func(what string) (node.Service, error) {
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
func Run(ctx context.Context, u node.Service, now func() time.Time) error {
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
	s := &supervisor{unit: u, now: now, log: log, state: node.ServiceState{SupervisorPID: os.Getpid()}}
	return s.run(ctx)
}
