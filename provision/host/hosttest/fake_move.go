package hosttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"

	"quorate/provision/host"
)

// Move implements host.Host. Cut in the middle, a copy is whole and what it was made from is aside, which is the
// one moment at which neither name is there.
func (h *Fake) Move(ctx context.Context, r host.MoveRequest) (host.Moved, error) {
	return call(ctx, h, Call{Method: "Move", Writes: !r.Try, Detail: r.From.Path() + " " + r.To.Path()},
		func() { _, _ = h.m.move(r, true) },
		func() (host.Moved, error) {
			out, err := h.m.move(r, false)
			if err != nil {
				err = fmt.Errorf("cannot move %s to %s on host %q: %w", r.From.Path(), r.To.Path(), h.m.name, err)
			}
			return out, err
		})
}

func (m *Machine) move(r host.MoveRequest, half bool) (out host.Moved, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := r.Check(); err != nil || !path.IsAbs(r.From.Dir) || !path.IsAbs(r.To.Dir) {
		return out, cmp.Or(err, errors.New("the path is not absolute"))
	}
	from, to := path.Clean(r.From.Path()), path.Clean(r.To.Path())
	defer func() {
		left := path.Dir(from)
		if err == nil && !r.Try && !half && path.Dir(left) == path.Join(r.From.Dir, host.AsideDir) && len(m.below(left)) == 0 {
			delete(m.files, left)
		}
	}()
	switch there, was := m.files[to], m.files[from]; {
	case was == nil && there != nil:
		out.How = host.WasThere
		return out, nil
	case was == nil && m.files[r.To.Whole()] != nil:
		out.How = host.Copied
		if !r.Try && !half {
			m.rename(r.To.Whole(), to)
		}
		return out, nil
	case was == nil:
		return out, fmt.Errorf("neither %s nor %s is there: %w", from, to, fs.ErrNotExist)
	case there != nil:
		return out, fmt.Errorf("%s: %w", to, syscall.EEXIST)
	case !was.dir:
		return out, fmt.Errorf("%s: %w", from, syscall.ENOTDIR)
	case m.holdsMount(from):
		return out, fmt.Errorf("%s: %w", from, syscall.EBUSY)
	case m.files[path.Dir(to)] == nil && !r.Try:
		return out, fmt.Errorf("%s: %w", path.Dir(to), fs.ErrNotExist)
	}
	if err := cmp.Or(m.writable(path.Dir(from)), m.writable(path.Dir(to))); err != nil {
		return out, err
	}
	var bytes int64
	for _, p := range m.below(from) {
		if m.files[p].link != "" {
			return out, fmt.Errorf("%s is neither a file nor a folder", p)
		}
		bytes += int64(len(m.files[p].content))
	}
	here, _ := m.mountOf(from)
	if there, _ := m.mountOf(to); there == here {
		out.How = host.Renamed
		if !r.Try && !half {
			m.removeAll(r.To.Copy())
			m.removeAll(r.To.Whole())
			m.rename(from, to)
		}
		return out, nil
	}
	if free := m.freeAt(to); free < bytes {
		return out, fmt.Errorf("%w: %d bytes free, %d needed", syscall.ENOSPC, free, bytes)
	}
	out.How = host.Copied
	if r.Try {
		return out, nil
	}
	aside := path.Join(r.From.Dir, host.AsideDir, r.Keep)
	out.Aside = path.Join(aside, path.Base(from))
	if m.files[out.Aside] != nil {
		return out, fmt.Errorf("%s: %w", out.Aside, syscall.EEXIST)
	}
	m.removeAll(r.To.Copy())
	m.removeAll(r.To.Whole())
	if err := m.mkdirAll(aside); err != nil {
		return out, err
	}
	for _, p := range []string{path.Dir(aside), aside} {
		m.files[p].mode, m.files[p].owner, m.files[p].group = 0o700, m.files[r.From.Dir].owner, m.files[r.From.Dir].group
	}
	for _, p := range append(m.below(from), from) {
		n := m.newNode()
		inode := n.inode
		*n = *m.files[p]
		n.inode, n.content = inode, slices.Clone(n.content)
		m.files[r.To.Whole()+strings.TrimPrefix(p, from)] = n
	}
	m.rename(from, out.Aside)
	if r.Progress != nil {
		r.Progress(bytes, bytes)
	}
	if !half {
		m.rename(r.To.Whole(), to)
	}
	return out, nil
}

// rename gives a tree another name on its file system.
func (m *Machine) rename(from, to string) {
	all := m.below(from)
	moved := map[string]*node{to: m.files[from]}
	for _, p := range all {
		moved[to+strings.TrimPrefix(p, from)] = m.files[p]
		delete(m.files, p)
	}
	delete(m.files, from)
	maps.Copy(m.files, moved)
}
