package lab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

//go:embed script/boot.sh
var bootScript string

// bootLimit bounds a boot: hosts take one or two seconds, a starved CI machine more.
const bootLimit = time.Minute

// create gives the host its disk, an overlay on the lab's root, and its identity. It is off then.
func (h *Host) create(ctx context.Context) error {
	upper, work := filepath.Join(h.dir(), "upper"), filepath.Join(h.dir(), "work")
	err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755), os.MkdirAll(h.root(), 0o755))
	if err == nil {
		err = mountOverlay(h.lab.state.Image, upper, work, h.root())
	}
	if err == nil {
		err = h.writeIdentity(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot create host %q: %w", h.name, err)
	}
	return nil
}

// Boot powers the host on and returns when it accepts the login of an
// ordinary user, which systemd allows once the system is up.
func (h *Host) Boot(ctx context.Context) error {
	if h.Running() {
		return nil
	}
	begin := time.Now()
	if err := h.boot(ctx); err != nil {
		console, _ := os.ReadFile(h.consoleFile())
		return fmt.Errorf("cannot boot host %q: %w\n  its console's last lines:\n%s", h.name, err, tail(string(console), 20))
	}
	fmt.Fprintf(h.lab.log, "host %s (%s) up in %.2fs\n", h.name, h.addr, time.Since(begin).Seconds())
	return nil
}

func (h *Host) consoleFile() string { return filepath.Join(h.dir(), "console.log") }

func (h *Host) boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	supervisor, gone, err := h.startSupervisor()
	if err != nil {
		return err
	}
	if err := h.remember(supervisor, process{}); err != nil {
		return err
	}
	alive := func() error {
		if gone.Load() {
			return fmt.Errorf("systemd-nspawn ended")
		}
		return nil
	}
	if err := plug(ctx, h.lab.namespace(), h.lab.NamespacePath(), h.index, h.networks, alive); err != nil {
		return err
	}
	var leader process
	err = poll(ctx, bootLimit, "the host's first process", func() (bool, error) {
		if err := alive(); err != nil {
			return false, err
		}
		leader, err = childOf(supervisor.PID)
		return leader.PID != 0, err
	})
	if err != nil {
		return err
	}
	if err := h.remember(supervisor, leader); err != nil {
		return err
	}
	return h.awaitLogin(ctx, alive)
}

// remember notes the host's processes, also in the state file.
func (h *Host) remember(supervisor, leader process) error {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	h.supervisor, h.leader = supervisor, leader
	return h.lab.save()
}

// startSupervisor starts systemd-nspawn; gone becomes true when it has ended.
func (h *Host) startSupervisor() (_ process, gone *atomic.Bool, err error) {
	console, err := os.Create(h.consoleFile())
	if err != nil {
		return process{}, nil, err
	}
	defer console.Close()
	args := []string{"-c", bootScript, "boot", h.cgroup(),
		"nsenter", "--net=" + h.lab.NamespacePath(), "--",
		"systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe", "--settings=no",
		"--link-journal=no", "--resolv-conf=off", "--timezone=off",
		"--machine=" + h.machine(), "--hostname=" + h.name, "--directory=" + h.root()}
	for _, n := range h.networks {
		args = append(args, "--network-veth-extra="+linkName(h.index, n)+":"+hostLink(n))
	}
	cmd := exec.Command("sh", args...)
	cmd.Stdout, cmd.Stderr = console, console
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return process{}, nil, err
	}
	gone = new(atomic.Bool)
	p, err := lookProcess(cmd.Process.Pid)
	go func() {
		cmd.Wait() // the console file says why it ended
		gone.Store(true)
	}()
	return p, gone, err
}

// awaitLogin returns when sshd lets an ordinary user in. It asks from within
// the host's own network, where no packet is lost to an address that is not up
// yet, and then once from the operator's place, if that can reach it.
func (h *Host) awaitLogin(ctx context.Context, alive func() error) error {
	key, err := h.lab.signer()
	if err != nil {
		return err
	}
	try := func(namespace string) error {
		return inNamespace(namespace, func() error {
			d := net.Dialer{Timeout: 5 * time.Second}
			c, err := d.DialContext(ctx, "tcp", h.sshAddr())
			if err != nil {
				return err
			}
			defer c.Close()
			return tryLogin(c, h.sshAddr(), key)
		})
	}
	var last error
	err = poll(ctx, bootLimit, "a login", func() (bool, error) {
		if err := alive(); err != nil {
			return false, err
		}
		last = try(fmt.Sprintf("/proc/%d/ns/net", h.leader.PID))
		return last == nil, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("%w (last try: %w)", err, last)
	}
	if err == nil && h.networks[0] == 0 {
		err = try(h.lab.NamespacePath())
	}
	return err
}

func tryLogin(c net.Conn, addr string, key ssh.Signer) error {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	conn, chans, reqs, err := ssh.NewClientConn(c, addr, &ssh.ClientConfig{
		User: UserSudo,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		// Whether it is the right host is not in question: it is the only one in its namespace at that address.
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return err
	}
	client := ssh.NewClient(conn, chans, reqs)
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		return err
	}
	return s.Run("true")
}

// PowerCut ends every process of the host at once, with no chance to write or
// say anything. What they wrote is still there at the next Boot, even without
// fsync: the kernel lives on.
func (h *Host) PowerCut(ctx context.Context) error {
	h.lab.mu.Lock()
	supervisor, leader := h.supervisor, h.leader
	h.lab.mu.Unlock()
	if leader.PID == 0 && supervisor.alive() { // cut while it boots
		if p, err := childOf(supervisor.PID); err == nil {
			leader = p
		}
	}
	err := supervisor.kill(ctx)
	if err == nil {
		err = leader.kill(ctx)
	}
	if err == nil {
		err = poll(ctx, 10*time.Second, "the host's last process to end", func() (bool, error) {
			pids, err := cgroupPIDs(h.cgroup())
			for _, pid := range pids {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			return len(pids) == 0, err
		})
	}
	if err == nil {
		err = h.dropLock()
	}
	if err != nil {
		return fmt.Errorf("cannot cut the power of host %q: %w", h.name, err)
	}
	return h.dropLinks(ctx)
}

// dropLock removes the lock file by which nspawn keeps others from the same
// disk; the flock itself is gone, the name is left by a supervisor that was killed.
func (h *Host) dropLock() error {
	info, err := os.Stat(h.root())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = os.Remove(filepath.Join("/run/systemd/nspawn/locks", inodeName(info)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// dropLinks removes the host's links, which the kernel does by itself but not at once.
func (h *Host) dropLinks(ctx context.Context) error {
	for _, n := range h.networks {
		link := linkName(h.index, n)
		out, err := exec.CommandContext(ctx, "ip", "-netns", h.lab.namespace(), "link", "del", link).CombinedOutput()
		gone := slices.ContainsFunc([]string{"Cannot find device", "No such device", "Cannot open network namespace"},
			func(s string) bool { return strings.Contains(string(out), s) })
		if err != nil && !gone {
			return fmt.Errorf("cannot remove link %q: %w\n%s", link, err, out)
		}
	}
	return nil
}

// reset makes the host new; see [Lab.Reset].
func (h *Host) reset(ctx context.Context) error {
	if err := h.PowerCut(ctx); err != nil {
		return err
	}
	if err := removeTree(h.dir()); err != nil {
		return err
	}
	if err := h.create(ctx); err != nil {
		return err
	}
	return h.Boot(ctx)
}
