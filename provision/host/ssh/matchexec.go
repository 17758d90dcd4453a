package ssh

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// matchTime bounds a command of Match exec: ssh would wait for ever.
const matchTime = 10 * time.Second

// matchExec runs a command of a Match exec as ssh does, and reports whether it
// succeeded. It gets no input, and what it prints is dropped.
func matchExec(ctx context.Context, shell, command string) (bool, error) {
	limited, cancel := context.WithTimeout(ctx, matchTime)
	defer cancel()
	cmd := exec.CommandContext(limited, shell, "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case limited.Err() != nil:
		return false, fmt.Errorf("the command %q of Match exec did not end within %s", command, matchTime)
	case errors.As(err, &exit) && exit.Exited():
		return false, nil
	}
	return false, fmt.Errorf("cannot run the command %q of Match exec: %w", command, err)
}

// shell is the one that ssh would take.
func (c Config) shell() string {
	if c.Env != nil {
		if s, ok := c.Env("SHELL"); ok && s != "" {
			return s
		}
	}
	return "/bin/sh"
}
