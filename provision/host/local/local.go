// Package local is the host.Host of this machine: a folder plays a host, no
// root's rights are needed, owners and accounts are ignored, and units are
// supervised processes. Paths come already absolute under the host's folder.
//
// It confines nothing: a path outside the folder is worked on as it is.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"quorate/provision/host/posix"
)

// Config of a local host.
type Config struct {
	// Name of the host, for output and errors.
	Name string
	// Root is the host's folder, absolute; made when something is first put there.
	Root string
	// Now is the clock.
	Now func() time.Time
	// Env is the whole environment of what runs on the host. It should hold a
	// PATH, and nothing that a member must not see; nil is a plain PATH.
	Env []string
}

// killDelay is how long a command may go on after its context ended, before
// its output is given up; it has been killed by then.
const killDelay = 2 * time.Second

// New makes the host of a folder. Nothing is done before the first call.
func New(c Config) *posix.Host {
	if c.Env == nil {
		c.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	t := &transport{c: c, unlock: map[*heldLock]bool{}}
	return posix.New(t, posix.Options{
		Name: c.Name, Now: c.Now, IgnoreOwners: true,
		Services: &supervised{c: c}, Lock: t.lock, Addresses: addresses,
	})
}

// addresses are those of this machine's interfaces.
func addresses() ([]string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			out = append(out, n.IP.String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

type transport struct {
	c Config

	mu     sync.Mutex
	unlock map[*heldLock]bool
	work   string // see working; "" without a lock
}

// Exec runs argv in a process group of its own, which is killed when ctx ends.
func (t *transport) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = t.c.Env, stdout, stderr
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killDelay
	work, err := t.working()
	if err != nil {
		return -1, err
	}
	if work != nil {
		defer work.Close()
		cmd.ExtraFiles = []*os.File{work}
	}
	// A command that ends does not wait for input that is still to come.
	in, err := cmd.StdinPipe()
	if err != nil {
		return -1, err
	}
	if err = cmd.Start(); err == nil {
		go func() {
			if stdin != nil {
				_, _ = io.Copy(in, stdin)
			}
			in.Close()
		}()
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return -1, ctx.Err()
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(stderr, "%s: not found\n", argv[0])
		return 127, nil // as a shell says
	case errors.Is(err, fs.ErrPermission):
		fmt.Fprintf(stderr, "%s: Permission denied\n", argv[0])
		return 126, nil
	}
	return -1, err
}

// Near implements posix.Near: nothing is nearer.
func (t *transport) Near() bool { return true }

// Dial connects from this machine.
func (t *transport) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// Close releases the locks that are left.
func (t *transport) Close() error {
	t.mu.Lock()
	left := slices.Collect(maps.Keys(t.unlock))
	t.mu.Unlock()
	var errs []error
	for _, l := range left {
		errs = append(errs, l.release())
	}
	return errors.Join(errs...)
}
