package hosttest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	nodes "quorate/kvserver/node"
	"quorate/provision/host"
)

type node struct {
	dir          bool
	lock         bool
	link         string // where a symbolic link points; it is followed by nobody here
	special      string // what it is, if it is nothing that has a content: "FIFO", "device"
	mode         uint32
	owner, group string
	content      []byte
	inode        int64
	mtime, ctime time.Time
}

func (n *node) digest() string {
	if n.dir || n.link != "" || n.special != "" {
		return ""
	}
	return host.Digest(n.content)
}

func (n *node) stamp() string {
	return fmt.Sprintf("1:%d:%d:%d:%d", n.inode, len(n.content), n.mtime.UnixNano(), n.ctime.UnixNano())
}

// WriteFile puts a file there as somebody on the machine would, parents made as needed.
func (m *Machine) WriteFile(name string, content []byte, mode uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(path.Clean(name), content, mode, m.caller(), m.caller())
}

// Place makes one file or folder with its owner and mode, as a program on the
// machine would; it is no call.
func (m *Machine) Place(f host.File) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.place(f)
	return err
}

// ReadFile returns a file's content, or fs.ErrNotExist.
func (m *Machine) ReadFile(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.files[path.Clean(name)]
	if n == nil {
		return nil, fmt.Errorf("machine %q: %s: %w", m.name, name, fs.ErrNotExist)
	}
	if n.dir {
		return nil, fmt.Errorf("machine %q: %s: %w", m.name, name, syscall.EISDIR)
	}
	return slices.Clone(n.content), nil
}

// RemoveAll deletes a path and what is below it.
func (m *Machine) RemoveAll(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeAll(path.Clean(name))
}

// Link puts a symbolic link there, in place of what is there.
func (m *Machine) Link(name, target string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	m.removeAll(name)
	_ = m.mkdirAll(path.Dir(name))
	n := m.newNode()
	n.mode, n.link = 0o777, target
	m.files[name] = n
}

// Special puts something there that has no content, a "FIFO" or a "device", in place of what is there.
func (m *Machine) Special(name, kind string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	m.removeAll(name)
	_ = m.mkdirAll(path.Dir(name))
	n := m.newNode()
	n.mode, n.special = 0o600, kind
	m.files[name] = n
}

// Rewrite changes what a file holds, and leaves it the same file, as somebody does who has it open.
func (m *Machine) Rewrite(name string, change func(content []byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.files[path.Clean(name)]
	n.content = change(slices.Clone(n.content))
	n.mtime, n.ctime = m.clock(), m.clock()
}

// Paths lists every path below dir, sorted.
func (m *Machine) Paths(dir string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.below(path.Clean(dir))
}

func (m *Machine) caller() string {
	if m.facts.Root {
		return "root"
	}
	return "me"
}

func (m *Machine) below(dir string) []string {
	prefix := strings.TrimSuffix(dir, "/") + "/"
	var out []string
	for _, p := range slices.Sorted(maps.Keys(m.files)) {
		if strings.HasPrefix(p, prefix) && p != "/" {
			out = append(out, p)
		}
	}
	return out
}

func (m *Machine) removeAll(name string) bool {
	_, found := m.files[name]
	for _, p := range m.below(name) {
		delete(m.files, p)
	}
	delete(m.files, name)
	return found
}

func (m *Machine) newNode() *node {
	m.inode++
	now := m.clock()
	return &node{mode: 0o755, owner: m.caller(), group: m.caller(), inode: m.inode, mtime: now, ctime: now}
}

// mkdirAll makes a folder and its parents; a file in the way is an error.
func (m *Machine) mkdirAll(dir string) error {
	if n := m.files[dir]; n != nil {
		if !n.dir {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if dir != "/" {
		if err := m.mkdirAll(path.Dir(dir)); err != nil {
			return err
		}
		if err := m.writable(path.Dir(dir)); err != nil {
			return err
		}
	}
	n := m.newNode()
	n.dir = true
	m.files[dir] = n
	return nil
}

func (m *Machine) put(name string, content []byte, mode uint32, owner, group string) error {
	if n := m.files[name]; n != nil && n.dir {
		return &fs.PathError{Op: "rename", Path: name, Err: syscall.EISDIR}
	}
	if err := m.writable(path.Dir(name)); err != nil {
		return err
	}
	if free := m.freeAt(name); int64(len(content)) > free {
		return fmt.Errorf("write %s: %w: %d bytes free, %d needed", name, syscall.ENOSPC, free, len(content))
	}
	if err := m.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	n := m.newNode()
	n.mode, n.owner, n.group, n.content = mode, owner, group, slices.Clone(content)
	m.files[name] = n
	return nil
}

func (m *Machine) freeAt(name string) int64 {
	for p := name; ; p = path.Dir(p) {
		if free, ok := m.free[p]; ok {
			return free
		}
		if p == "/" {
			return defaultFree
		}
	}
}

// ownership resolves "user[:group]" as chown does.
func (m *Machine) ownership(owner string) (user, group string, err error) {
	if owner == "" || !m.facts.Root {
		return m.caller(), m.caller(), nil
	}
	user, group, found := strings.Cut(owner, ":")
	if !found {
		group = user
	}
	for _, name := range []string{user, group} {
		if !m.accounts[name] {
			return "", "", fmt.Errorf("chown: invalid user: %q", name)
		}
	}
	return user, group, nil
}

// place makes one file or folder as asked.
func (m *Machine) place(f host.File) (host.Change, error) {
	name := path.Clean(f.Path)
	if !path.IsAbs(f.Path) {
		return host.Change{}, errors.New("path is not absolute")
	}
	if strings.ContainsFunc(f.Path, unicode.IsControl) {
		return host.Change{}, errors.New("the path has a control character")
	}
	user, group, err := m.ownership(f.Owner)
	if err != nil {
		return host.Change{}, err
	}
	n := m.files[name]
	as := n != nil && n.link == "" && n.dir == f.Dir && n.mode == f.Mode && n.owner == user && n.group == group
	switch {
	case f.Dir && as:
	case f.Dir:
		if err := m.mkdirAll(name); err != nil {
			return host.Change{}, err
		}
		n = m.files[name]
		n.mode, n.owner, n.group, n.ctime = f.Mode, user, group, m.clock()
	case as && string(n.content) == string(f.Content):
	default:
		as = false
		if err := m.put(name, f.Content, f.Mode, user, group); err != nil {
			return host.Change{}, err
		}
		n = m.files[name]
	}
	return host.Change{Path: f.Path, Changed: !as, Digest: n.digest(), Stamp: n.stamp()}, nil
}

func (m *Machine) lookFile(q host.FileQuery) (host.FileState, error) {
	n := m.files[path.Clean(q.Path)]
	if n == nil {
		return host.FileState{}, nil
	}
	s := host.FileState{
		Exists: true, Type: "file", Mode: n.mode, Owner: n.owner, Group: n.group,
		Size: int64(len(n.content)), Digest: n.digest(), Stamp: n.stamp(),
	}
	if n.dir || n.link != "" || n.special != "" {
		s.Type, s.Size = "dir", 0
		switch {
		case n.link != "":
			s.Type, s.Size = "link", int64(len(n.link))
		case n.special != "":
			s.Type = "other"
		}
		switch {
		case n.owner != "root" && n.owner != m.caller():
			s.Exposed = host.Exposure{Path: q.Path, Owner: n.owner}
		case n.dir && n.mode&0o1000 == 0 && (n.mode&0o002 != 0 || n.mode&0o020 != 0 && n.group != "root"):
			s.Exposed = host.Exposure{Path: q.Path}
		}
		return s, nil
	}
	if q.KnownStamp != "" && q.KnownStamp == s.Stamp {
		s.Digest = q.KnownDigest
	}
	if q.Content {
		if s.Size > host.ContentLimit {
			return s, fmt.Errorf("%s has %d bytes, more than the %d that a look carries", q.Path, s.Size, host.ContentLimit)
		}
		s.Content = slices.Clone(n.content)
		if s.Content == nil {
			s.Content = []byte{}
		}
	}
	return s, nil
}

func (m *Machine) lookDir(q host.DirQuery) host.DirState {
	dir := path.Clean(q.Path)
	n := m.files[dir]
	if n == nil || !n.dir {
		return host.DirState{}
	}
	s := host.DirState{Exists: true, Owner: n.owner, Group: n.group, Mode: n.mode, MountPoint: dir == "/" || m.mounts[dir] != nil}
	for _, p := range m.below(dir) {
		rel := strings.TrimPrefix(p, strings.TrimSuffix(dir, "/")+"/")
		switch {
		case path.Dir(rel) == "." && rel != "lost+found" && rel != host.AsideDir:
			s.Entries = append(s.Entries, rel)
		case path.Dir(rel) == host.AsideDir && m.files[p].dir:
			s.Aside = append(s.Aside, p)
		}
	}
	s.Count, s.Empty = len(s.Entries), len(s.Entries) == 0
	s.Entries = s.Entries[:min(len(s.Entries), nodes.EntryLimit)]
	wal := path.Clean(q.Log())
	for _, p := range m.below(wal) {
		s.Member = s.Member || path.Dir(p) == wal && path.Ext(p) == ".wal"
	}
	return s
}
