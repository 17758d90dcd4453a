package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Operator is a person at the lab's console: a home folder with a key that
// opens every host, a known_hosts file with every host in it, and an
// ssh_config. Two operators share the machine and nothing else.
type Operator struct {
	lab  *Lab
	name string
}

func (l *Lab) operatorsDir() string { return filepath.Join(l.dir, "operators") }

// Operator returns the operator of that name and makes the home if it is not there yet.
func (l *Lab) Operator(name string) (*Operator, error) {
	o := &Operator{lab: l, name: name}
	dir := filepath.Join(o.Home(), ".ssh")
	if _, err := os.Stat(dir); err == nil {
		return o, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make operator %q: %w", name, err)
	}
	for from, to := range map[string]string{l.keyFile(): o.Key(), l.keyFile() + ".pub": o.Key() + ".pub"} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot make operator %q: %w", name, err)
		}
	}
	return o, o.Refresh()
}

// Home is the operator's home folder.
func (o *Operator) Home() string { return filepath.Join(o.lab.operatorsDir(), o.name) }

// Key is the operator's private key file.
func (o *Operator) Key() string { return filepath.Join(o.Home(), ".ssh", "id_ed25519") }

// KnownHosts is the operator's known_hosts file.
func (o *Operator) KnownHosts() string { return filepath.Join(o.Home(), ".ssh", "known_hosts") }

// SSHConfig is the operator's ssh_config. Hosts behind a bastion name it as
// their jump when they are called by name, not by address.
func (o *Operator) SSHConfig() string { return filepath.Join(o.Home(), ".ssh", "config") }

// Refresh writes known_hosts and ssh_config anew for the hosts as they are now.
func (o *Operator) Refresh() error {
	var known, config strings.Builder
	for _, h := range o.lab.all() {
		keys, err := h.HostKeys()
		if err != nil {
			return err
		}
		for _, k := range keys {
			fmt.Fprintf(&known, "%s,%s %s\n", h.addr, h.name, k)
		}
		fmt.Fprintf(&config, "Host %s\n  HostName %s\n  HostKeyAlias %s\n", h.name, h.addr, h.name)
		if h.networks[0] != 0 {
			fmt.Fprintf(&config, "  ProxyJump %s\n", bastionName)
		}
	}
	fmt.Fprintf(&config, "Host *\n  User root\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n", o.Key(), o.KnownHosts())
	if err := os.WriteFile(o.KnownHosts(), []byte(known.String()), 0o600); err != nil {
		return fmt.Errorf("cannot refresh operator %q: %w", o.name, err)
	}
	if err := os.WriteFile(o.SSHConfig(), []byte(config.String()), 0o600); err != nil {
		return fmt.Errorf("cannot refresh operator %q: %w", o.name, err)
	}
	return nil
}

// Command prepares a program to run as this operator: in the lab's network,
// with the operator's home and a bare environment beside it.
func (o *Operator) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := o.lab.Command(ctx, name, args...)
	cmd.Env = []string{"HOME=" + o.Home(), "USER=" + o.name, "LOGNAME=" + o.name, "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH")}
	cmd.Dir = o.Home()
	return cmd
}

// SSH prepares OpenSSH's client with the operator's settings; it does not
// look at $HOME, so it is told.
func (o *Operator) SSH(ctx context.Context, args ...string) *exec.Cmd {
	return o.Command(ctx, "ssh", append([]string{"-F", o.SSHConfig(), "-o", "BatchMode=yes"}, args...)...)
}

func (l *Lab) refreshOperators() error {
	dirs, err := filepath.Glob(filepath.Join(l.operatorsDir(), "*"))
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if err := (&Operator{lab: l, name: filepath.Base(d)}).Refresh(); err != nil {
			return err
		}
	}
	return nil
}
