package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
)

// Host is one machine of a lab.
type Host struct {
	lab      *Lab
	name     string
	index    int // last number of its addresses
	addr     string
	networks []int

	supervisor process // systemd-nspawn
	leader     process // PID 1 of the host
}

// Name is the host's name, also its hostname.
func (h *Host) Name() string { return h.name }

// Addr is the host's IP address: the operator's way to it, except behind a bastion.
func (h *Host) Addr() string { return h.addr }

// Users of every host: root and the others, all with the lab's key.
const (
	UserSudo   = "ops"       // sudo without a password
	UserSudoPW = "opspw"     // sudo with [Lab.Password]
	UserNoSudo = "nobodyadm" // no sudo
)

// Password is that of UserSudoPW, for login and for sudo.
func (l *Lab) Password() string { return l.state.Password }

// ExecError says that a command on a host failed.
type ExecError struct {
	Host   string
	Argv   []string
	Code   int
	Output string
}

func (e *ExecError) Error() string {
	return fmt.Sprintf("host %q: %s exited with %d: %s", e.Host, strings.Join(e.Argv, " "), e.Code, strings.TrimSpace(e.Output))
}

// Exec runs argv as root on the host and returns what it printed, both
// streams together. It enters the host's namespaces from this machine and
// needs neither network nor sshd. A non-zero exit is an *ExecError.
func (h *Host) Exec(ctx context.Context, argv ...string) (string, error) {
	return h.exec(ctx, nil, argv)
}

// Shell runs a shell script as root on the host, as Exec does.
func (h *Host) Shell(ctx context.Context, script string) (string, error) {
	return h.Exec(ctx, "sh", "-euc", script)
}

func (h *Host) exec(ctx context.Context, stdin []byte, argv []string) (string, error) {
	cmd, err := h.Command(ctx, argv...)
	if err != nil {
		return "", err
	}
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return string(out), &ExecError{h.name, argv, exit.ExitCode(), string(out)}
	}
	if err != nil {
		return string(out), fmt.Errorf("cannot run %s on host %q: %w", argv[0], h.name, err)
	}
	return string(out), nil
}

// Command prepares argv to run as root on the host, as Exec does.
func (h *Host) Command(ctx context.Context, argv ...string) (*exec.Cmd, error) {
	h.lab.mu.Lock()
	leader := h.leader
	h.lab.mu.Unlock()
	if !leader.alive() {
		return nil, fmt.Errorf("cannot run %s on host %q: it is powered off", argv[0], h.name)
	}
	args := []string{fmt.Sprintf("--target=%d", leader.PID), "--mount", "--uts", "--ipc", "--net", "--pid", "--",
		"env", "-i", "-C", "/", "HOME=/root", "USER=root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return exec.CommandContext(ctx, "nsenter", append(args, argv...)...), nil
}

// ReadFile reads a file on the host.
func (h *Host) ReadFile(ctx context.Context, path string) ([]byte, error) {
	out, err := h.Exec(ctx, "cat", "--", path)
	return []byte(out), err
}

// WriteFile writes a file on the host with the mode of its predecessor, or
// 0644; it makes the folders above it.
func (h *Host) WriteFile(ctx context.Context, path string, content []byte) error {
	_, err := h.exec(ctx, content, []string{"sh", "-euc", `mkdir -p -- "$(dirname -- "$1")"; cat >"$1"`, "write", path})
	return err
}

// Journal is what a unit has logged since the host's boot; of all units for "".
func (h *Host) Journal(ctx context.Context, unit string) (string, error) {
	argv := []string{"journalctl", "--no-pager", "--quiet", "--boot", "--output=short-precise"}
	if unit != "" {
		argv = append(argv, "--unit="+unit)
	}
	return h.Exec(ctx, argv...)
}

// Running says whether the host has power.
func (h *Host) Running() bool {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	return h.leader.alive()
}

func (h *Host) dir() string     { return filepath.Join(h.lab.hostsDir(), h.name) }
func (h *Host) root() string    { return filepath.Join(h.dir(), "root") }
func (h *Host) machine() string { return "quorate-" + h.lab.ID() + "-" + h.name }

// propagateDir is where nspawn keeps the mounts it hands into a machine.
func (h *Host) propagateDir() string {
	return filepath.Join("/run/systemd/nspawn/propagate", h.machine())
}

func (h *Host) sshAddr() string { return net.JoinHostPort(h.addr, "22") }
