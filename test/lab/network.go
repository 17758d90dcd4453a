package lab

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"
)

// network is one bridge in the lab's namespace.
func bridgeName(network int) string { return fmt.Sprintf("br%d", network) }

// linkName is the lab's end of a host's cable into a network; the host calls its own end hostLink.
func linkName(host, network int) string { return fmt.Sprintf("h%d.%d", host, network) }
func hostLink(network int) string       { return fmt.Sprintf("host%d", network) }

// makeNamespace makes the namespace with its bridges. The operator has an
// address on network 0 only, and there is no route out.
func makeNamespace(ctx context.Context, name string, networks int) error {
	if err := ip(ctx, "", "netns add "+name); err != nil {
		return err
	}
	cmds := []string{"link set lo up"}
	for n := range networks {
		cmds = append(cmds, "link add "+bridgeName(n)+" type bridge", "link set "+bridgeName(n)+" up")
	}
	return ip(ctx, name, append(cmds, "addr add "+operatorAddr+"/24 dev "+bridgeName(0))...)
}

// plug connects a host's links, once nspawn has made them, to their bridges.
func plug(ctx context.Context, namespace, path string, host int, networks []int, alive func() error) error {
	var cmds []string
	for _, n := range networks {
		link := linkName(host, n)
		err := poll(ctx, 20*time.Second, "link "+link, func() (ok bool, err error) {
			if err := alive(); err != nil {
				return false, err
			}
			err = inNamespace(path, func() error {
				_, err := net.InterfaceByName(link)
				ok = err == nil
				return nil
			})
			return ok, err
		})
		if err != nil {
			return err
		}
		cmds = append(cmds, "link set "+link+" master "+bridgeName(n)+" up")
	}
	return ip(ctx, namespace, cmds...)
}

// ip runs ip(8) commands in one go, in a namespace unless it is empty.
func ip(ctx context.Context, namespace string, commands ...string) error {
	args := []string{"-batch", "-"}
	if namespace != "" {
		args = append([]string{"-netns", namespace}, args...)
	}
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot run ip %q: %w\n%s", commands, err, out)
	}
	return nil
}

// DialContext dials from the operator's place in the lab.
func (l *Lab) DialContext(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = inNamespace(l.NamespacePath(), func() (err error) {
		// An address with one IP is dialled on this very thread.
		var d net.Dialer
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Listen listens at the operator's place in the lab: on 127.0.0.1 or [Lab.Addr].
func (l *Lab) Listen(network, address string) (ln net.Listener, err error) {
	err = inNamespace(l.NamespacePath(), func() (err error) {
		ln, err = net.Listen(network, address)
		return err
	})
	return ln, err
}

// Addr is the operator's address in the lab.
func (l *Lab) Addr() string { return operatorAddr }

// NamespacePath is the file that stands for the lab's network namespace.
func (l *Lab) NamespacePath() string { return "/run/netns/" + l.namespace() }

// Command prepares a program to run at the operator's place in the lab, with
// this machine's files and processes and the lab's network.
func (l *Lab) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + l.NamespacePath(), "--", name}, args...)...)
}

// LinkDown pulls the host's cables: it is partitioned from everybody, and
// knows it as a real machine would (no carrier). Its addresses stay.
func (h *Host) LinkDown(ctx context.Context) error { return h.setLinks(ctx, "down") }

// LinkUp plugs the cables in again.
func (h *Host) LinkUp(ctx context.Context) error { return h.setLinks(ctx, "up") }

func (h *Host) setLinks(ctx context.Context, state string) error {
	var cmds []string
	for _, n := range h.networks {
		cmds = append(cmds, "link set "+linkName(h.index, n)+" "+state)
	}
	if err := ip(ctx, h.lab.namespace(), cmds...); err != nil {
		return fmt.Errorf("cannot set the link of host %q %s: %w", h.name, state, err)
	}
	return nil
}

// Unroute drops everything between h and other, while both still reach all
// others; Reroute ends it. Both hosts keep it only until their next boot.
func (h *Host) Unroute(ctx context.Context, other *Host) error {
	return h.blackhole(ctx, "add", other)
}

// Reroute ends what Unroute began.
func (h *Host) Reroute(ctx context.Context, other *Host) error {
	return h.blackhole(ctx, "del", other)
}

func (h *Host) blackhole(ctx context.Context, verb string, other *Host) error {
	if _, err := h.Exec(ctx, "ip", "route", verb, "blackhole", other.Addr()+"/32"); err != nil {
		return err
	}
	_, err := other.Exec(ctx, "ip", "route", verb, "blackhole", h.Addr()+"/32")
	return err
}
