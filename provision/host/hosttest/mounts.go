package hosttest

import (
	"fmt"
	"path"
	"strings"
	"syscall"

	"quorate/provision/host"
)

// Disk is a file system that can be mounted on a [Machine]: a data disk. What
// is written below its mount point stays on it.
type Disk struct {
	// Type, ReadOnly and NoExec are what a look tells of it; an empty Type is "ext4".
	Type             string
	ReadOnly, NoExec bool

	files map[string]*node // by path below the mount point; "" is its own root
	under map[string]*node // what it hides while it is mounted
}

// NewDisk makes a blank one: nothing but lost+found, root's, 0755.
func NewDisk() *Disk { return &Disk{} }

// Mount puts a disk at a folder, made if it is missing; what was in there is hidden.
func (m *Machine) Mount(dir string, d *Disk) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = path.Clean(dir)
	if m.mounts[dir] != nil {
		return fmt.Errorf("machine %q: mount %s: %w", m.name, dir, syscall.EBUSY)
	}
	if err := m.mkdirAll(dir); err != nil {
		return err
	}
	if d.files == nil {
		root, lost := m.newNode(), m.newNode()
		root.dir, lost.dir, lost.mode = true, true, 0o700
		root.owner, root.group, lost.owner, lost.group = "root", "root", "root", "root"
		d.files = map[string]*node{"": root, "/lost+found": lost}
	}
	d.under = m.take(dir)
	m.give(dir, d.files)
	d.files = nil
	m.mounts[dir] = d
	return nil
}

// Unmount takes the disk off a folder, with what is on it; what it hid is back.
// nil: none was there.
func (m *Machine) Unmount(dir string) *Disk {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = path.Clean(dir)
	d := m.mounts[dir]
	if d == nil {
		return nil
	}
	delete(m.mounts, dir)
	d.files = m.take(dir)
	m.give(dir, d.under)
	d.under = nil
	return d
}

// take moves a folder and what is below it out of the machine.
func (m *Machine) take(dir string) map[string]*node {
	out := map[string]*node{"": m.files[dir]}
	for _, p := range m.below(dir) {
		out[strings.TrimPrefix(p, strings.TrimSuffix(dir, "/"))] = m.files[p]
		delete(m.files, p)
	}
	delete(m.files, dir)
	return out
}

func (m *Machine) give(dir string, files map[string]*node) {
	for p, n := range files {
		m.files[strings.TrimSuffix(dir, "/")+p] = n
	}
}

// mountOf is the mount point that a path is below, and its disk; nil is the machine's own.
func (m *Machine) mountOf(name string) (string, *Disk) {
	for p := name; ; p = path.Dir(p) {
		if d := m.mounts[p]; d != nil {
			return p, d
		}
		if p == "/" {
			return p, nil
		}
	}
}

func (m *Machine) mountState(name string) host.MountState {
	point, d := m.mountOf(name)
	s := host.MountState{Known: true, Point: point, Type: "ext4"}
	if d != nil {
		s.ReadOnly, s.NoExec = d.ReadOnly, d.NoExec
		if d.Type != "" {
			s.Type = d.Type
		}
	}
	return s
}

// writable says why nothing can be written below a path.
func (m *Machine) writable(name string) error {
	if _, d := m.mountOf(name); d != nil && d.ReadOnly {
		return fmt.Errorf("%s: %w", name, syscall.EROFS)
	}
	return nil
}

// holdsMount reports whether a path or something below it is a mount point.
func (m *Machine) holdsMount(name string) bool {
	for p := range m.mounts {
		if p == name || strings.HasPrefix(p, strings.TrimSuffix(name, "/")+"/") {
			return true
		}
	}
	return false
}
