package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"
)

// state is what another process needs to find a lab, use it and take it down.
type state struct {
	ID       string `json:"id"`
	Boot     string `json:"boot"` // the kernel's boot id: processes of another boot are gone
	PIDs     string `json:"pids"` // the pid namespace that the numbers below are of
	Detached bool   `json:"detached,omitempty"`
	Image    string `json:"image"`
	Networks int    `json:"networks"`
	// Password of opspw; the file is 0600.
	Password string      `json:"password"`
	Hosts    []hostState `json:"hosts"`
}

type hostState struct {
	Name     string `json:"name"`
	Index    int    `json:"index"`
	Addr     string `json:"addr"`
	Networks []int  `json:"networks"`
	// Supervisor is systemd-nspawn, Leader the host's PID 1.
	Supervisor process `json:"supervisor"`
	Leader     process `json:"leader"`
}

const stateFile = "state.json"

func labsDir(cache string) string { return filepath.Join(cache, "labs") }

// save writes the state file atomically. Called with l.mu held.
func (l *Lab) save() error {
	s := l.state
	s.Hosts = nil
	for _, h := range l.hosts {
		s.Hosts = append(s.Hosts, hostState{h.name, h.index, h.addr, h.networks, h.supervisor, h.leader})
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot save lab %q: %w", l.ID(), err)
	}
	path := filepath.Join(l.dir, stateFile)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return fmt.Errorf("cannot save lab %q: %w", l.ID(), err)
	}
	return os.Rename(path+".new", path)
}

// load reads the lab in dir as it was last saved. A folder without a state
// file (its maker was killed at once) gives a lab without hosts.
func load(dir string) (*Lab, error) {
	l := &Lab{dir: dir, state: state{ID: filepath.Base(dir)}}
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, os.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot load lab %q: %w", l.ID(), err)
	}
	if err := json.Unmarshal(b, &l.state); err != nil {
		return nil, fmt.Errorf("cannot load lab %q: %w", filepath.Base(dir), err)
	}
	l.state.ID = filepath.Base(dir)
	for _, s := range l.state.Hosts {
		l.hosts = append(l.hosts, &Host{lab: l, name: s.Name, index: s.Index, addr: s.Addr, networks: s.Networks,
			supervisor: s.Supervisor, leader: s.Leader})
	}
	l.state.Hosts = nil
	return l, nil
}

// elsewhere says whether the pids in the state mean nothing to this process:
// the machine has booted since, or they are another container's.
func (s *state) elsewhere() bool { return s.Boot != bootID() || s.PIDs != pidNamespace() }

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func pidNamespace() string {
	s, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return s
}

// List returns the detached labs in the cache, by id.
func List(cache string) ([]*Lab, error) {
	o, err := Options{Cache: cache}.withDefaults()
	if err != nil {
		return nil, err
	}
	all, err := loadAll(o.Cache)
	return slices.DeleteFunc(all, func(l *Lab) bool { return !l.state.Detached || l.state.Boot != bootID() }), err
}

func loadAll(cache string) ([]*Lab, error) {
	dirs, err := filepath.Glob(filepath.Join(labsDir(cache), "[^.]*"))
	if err != nil {
		return nil, err
	}
	var labs []*Lab
	for _, dir := range dirs {
		l, err := load(dir)
		if err != nil {
			return nil, err
		}
		labs = append(labs, l)
	}
	return labs, nil
}

// claim makes the folder of a new lab and takes the flock that says its owner lives.
func claim(o Options) (dir string, lock *flock.Flock, err error) {
	gate, err := openGate(labsDir(o.Cache))
	if err != nil {
		return "", nil, err
	}
	defer gate.Close()
	dir = filepath.Join(labsDir(o.Cache), newID())
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("cannot make lab: %w", err)
	}
	lock, err = lockLab(dir)
	return dir, lock, err
}

// lockLab takes the lab's own flock, held by its owner for life; it is an error if somebody else has it.
func lockLab(dir string) (*flock.Flock, error) {
	lock := lockFile(filepath.Join(dir, ".lock"))
	free, err := lock.TryLock()
	if err == nil && !free {
		err = errors.New("its owner lives")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock lab %q: %w", filepath.Base(dir), err)
	}
	return lock, nil
}

// openGate takes the flock under which labs are born, swept and forgotten: a sweep
// must meet neither a folder without its lock nor one that is being removed.
func openGate(labs string) (*flock.Flock, error) { return lockCache(labs, ".gate") }

// lockCache makes a folder of the cache and waits for a flock in it.
func lockCache(dir, name string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make lab cache: %w", err)
	}
	lock := lockFile(filepath.Join(dir, name))
	if err := lock.Lock(); err != nil {
		return nil, fmt.Errorf("cannot lock lab cache: %w", err)
	}
	return lock, nil
}

// lockFile is a file for a flock, which is gone when it is closed or this process dies.
func lockFile(path string) *flock.Flock {
	return flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
}

// Sweep takes down what former runs left behind: labs whose owner is dead, and
// detached ones of another boot. It ends only processes that the lab's own
// state names, and only if they are still the same ones.
func Sweep(ctx context.Context, cache string) error {
	o, err := Options{Cache: cache}.withDefaults()
	if err != nil {
		return err
	}
	gate, err := openGate(labsDir(o.Cache))
	if err != nil {
		return err
	}
	defer gate.Close()
	labs, err := loadAll(o.Cache)
	if err != nil {
		return err
	}
	for _, l := range labs {
		if l.state.Detached && l.state.Boot == bootID() {
			continue
		}
		lock, err := lockLab(l.dir)
		if err != nil {
			continue // its owner lives
		}
		if err = l.tearDown(ctx); err == nil {
			err = removeTree(l.dir)
		}
		lock.Close()
		if err != nil {
			return fmt.Errorf("cannot clear away lab %q of a former run: %w", l.ID(), err)
		}
	}
	return nil
}
