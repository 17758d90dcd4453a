package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"
)

// Lab is a set of hosts in a network of their own. Its methods may be called
// from many goroutines; those of one host, other than Exec and what is built
// upon it, from one at a time.
type Lab struct {
	dir         string
	log         io.Writer
	lock        *flock.Flock
	endWatchdog func() error // nil: there is none

	mu    sync.Mutex // guards state, hosts and the hosts' processes
	state state
	hosts []*Host
}

// Up makes a lab and boots its hosts, all at once. It returns when every host
// accepts a login; then [Lab.Close] is due. On failure nothing remains.
func Up(ctx context.Context, o Options) (_ *Lab, err error) {
	if o, err = o.withDefaults(); err != nil {
		return nil, err
	}
	if err := Possible(); err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := Sweep(ctx, o.Cache); err != nil {
		return nil, err
	}
	root, err := image(ctx, o)
	if err != nil {
		return nil, err
	}
	dir, lock, err := claim(o)
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir, log: o.Log, lock: lock, state: state{
		ID: filepath.Base(dir), Boot: bootID(), PIDs: pidNamespace(), Detached: o.Detached,
		Image: root, Networks: 1, Password: newID() + newID(),
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if o.Bastion {
		l.state.Networks = 2
		l.newHost(bastionName, bastionLast, []int{0, 1})
	}
	for i := range o.Hosts {
		l.newHost(fmt.Sprintf("etcd%d", i+1), firstLast+i, []int{l.state.Networks - 1})
	}
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	if err := l.each(func(h *Host) error { return h.create(ctx) }); err != nil {
		return nil, err
	}
	if err := l.each(func(h *Host) error { return h.Boot(ctx) }); err != nil {
		return nil, err
	}
	fmt.Fprintf(o.Log, "lab %s: %d hosts up in %.2fs\n", l.ID(), len(l.hosts), time.Since(begin).Seconds())
	return l, nil
}

// prepare makes what the hosts share: state, keys, namespace, watchdog.
func (l *Lab) prepare(ctx context.Context) error {
	if err := l.save(); err != nil {
		return err
	}
	if err := l.makeKeys(); err != nil {
		return err
	}
	if err := makeNamespace(ctx, l.namespace(), l.state.Networks); err != nil {
		return fmt.Errorf("cannot make the network of lab %q: %w", l.ID(), err)
	}
	over, err := onOverlay(l.dir)
	if err != nil {
		return err
	}
	if err := os.Mkdir(l.hostsDir(), 0o755); err != nil {
		return err
	}
	if over { // this machine is a container itself
		if err := mountTmpfs(l.hostsDir()); err != nil {
			return err
		}
	}
	if !l.state.Detached {
		return l.startWatchdog()
	}
	return nil
}

// Open returns a detached lab by its id.
func Open(cache, id string) (*Lab, error) {
	labs, err := List(cache)
	if err != nil {
		return nil, err
	}
	for _, l := range labs {
		if l.ID() == id {
			l.log = io.Discard
			return l, nil
		}
	}
	return nil, fmt.Errorf("cannot open lab %q: there is none; `lab status` lists those that are up", id)
}

// ID names the lab on this machine.
func (l *Lab) ID() string { return l.state.ID }

func (l *Lab) namespace() string { return "quorate-" + l.state.ID }
func (l *Lab) hostsDir() string  { return filepath.Join(l.dir, "hosts") }

// Hosts are the lab's hosts in the order of their birth, without the bastion.
func (l *Lab) Hosts() []*Host {
	return slices.DeleteFunc(l.all(), func(h *Host) bool { return h.name == bastionName })
}

// all are the hosts as they are now, with the bastion.
func (l *Lab) all() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.hosts)
}

// Host is the i-th of [Lab.Hosts], from 0. It panics if there is none.
func (l *Lab) Host(i int) *Host { return l.Hosts()[i] }

// Named is the host of that name, or nil.
func (l *Lab) Named(name string) *Host {
	for _, h := range l.all() {
		if h.name == name {
			return h
		}
	}
	return nil
}

// Bastion is the host between the operator and the others, or nil.
func (l *Lab) Bastion() *Host { return l.Named(bastionName) }

// AddHost boots one more host, named after the last. Operators know it
// afterwards: their known_hosts and ssh_config are written anew.
func (l *Lab) AddHost(ctx context.Context) (*Host, error) {
	n := len(l.Hosts())
	if n == maxHosts {
		return nil, fmt.Errorf("cannot add a host: the lab has %d already", n)
	}
	h := l.newHost(fmt.Sprintf("etcd%d", n+1), firstLast+n, []int{l.state.Networks - 1})
	if err := h.create(ctx); err != nil {
		return nil, err
	}
	if err := h.Boot(ctx); err != nil {
		return nil, err
	}
	return h, l.refreshOperators()
}

func (l *Lab) newHost(name string, last int, networks []int) *Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &Host{lab: l, name: name, index: last, addr: address(networks[0], last), networks: networks}
	l.hosts = append(l.hosts, h)
	return h
}

// Reset makes every host new: power off, all it wrote forgotten, booted again
// with the same address and a new identity (machine id, host keys). Operators'
// known_hosts files are written anew.
func (l *Lab) Reset(ctx context.Context) error {
	if err := l.each(func(h *Host) error { return h.reset(ctx) }); err != nil {
		return err
	}
	return l.refreshOperators()
}

// Close takes everything down and leaves nothing behind.
func (l *Lab) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := l.tearDown(ctx)
	if err == nil {
		err = l.forget()
	}
	if l.endWatchdog != nil {
		err = errors.Join(err, l.endWatchdog())
	}
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
	}
	return err
}

// tearDown ends processes, then mounts, namespace, cgroups and the hosts' files.
// It goes by the state alone, works on what a killed run left half made, and may
// be called again. What is left is the folder, by which a sweep finds the lab.
func (l *Lab) tearDown(ctx context.Context) error {
	if !l.state.elsewhere() {
		if err := l.each(func(h *Host) error { return h.PowerCut(ctx) }); err != nil {
			return err
		}
	}
	if err := unmountBelow(l.dir); err != nil {
		return err
	}
	if _, err := os.Stat(l.NamespacePath()); err == nil {
		if out, err := exec.CommandContext(ctx, "ip", "netns", "del", l.namespace()).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot remove network namespace %q: %w\n%s", l.namespace(), err, out)
		}
	}
	if err := removeCgroups(ctx, l.cgroup()); err != nil {
		return err
	}
	for _, h := range l.hosts {
		if err := os.RemoveAll(h.propagateDir()); err != nil {
			return err
		}
	}
	return removeTree(l.hostsDir())
}

// forget removes the folder of a lab that was torn down. It waits for the gate:
// a sweep that opened the lock in a folder that is being removed would make it again.
func (l *Lab) forget() error {
	gate, err := openGate(filepath.Dir(l.dir))
	if err != nil {
		return err
	}
	defer gate.Close()
	return removeTree(l.dir)
}

// each does f for all hosts at once and returns the first error.
func (l *Lab) each(f func(*Host) error) error {
	var g errgroup.Group
	for _, h := range l.all() {
		g.Go(func() error { return f(h) })
	}
	return g.Wait()
}

// newID is short enough for names with a limit, and random enough for one machine.
func newID() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
