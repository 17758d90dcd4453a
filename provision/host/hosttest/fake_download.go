package hosttest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"

	"quorate/provision/host"
)

// piece is how much of a file a fake gives at a time: what an SSH channel does.
const piece = 32 << 10

// Download implements host.Host. A cut midway gives half of what was wanted; see also [Faults.CutDownloadAfter].
func (h *Fake) Download(ctx context.Context, d host.Download) (got host.Downloaded, err error) {
	say := func(err error) error {
		if err != nil {
			err = fmt.Errorf("cannot download %q from host %q: %w", d.Path, h.m.name, err)
		}
		return err
	}
	_, err = call(ctx, h, Call{Method: "Download", Detail: d.Path},
		func() { _ = h.give(ctx, d, &got, true) },
		func() (struct{}, error) { return struct{}{}, say(h.give(ctx, d, &got, false)) })
	return got, err
}

// opened is the file at a path, if it is one.
func (m *Machine) opened(d host.Download) (*node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.files[path.Clean(d.Path)]
	kind := ""
	switch {
	case !path.IsAbs(d.Path):
		return nil, fmt.Errorf("the path %q is not absolute", d.Path)
	case n == nil:
		return nil, fs.ErrNotExist
	case n.link != "":
		kind = "link"
	case n.special != "":
		kind = n.special
	case n.dir:
		kind = "folder"
	case d.From > int64(len(n.content)):
		return nil, fmt.Errorf("%s has %d bytes, and was to be read from byte %d on", d.Path, len(n.content), d.From)
	}
	if kind != "" {
		return nil, fmt.Errorf("%s is a %s, not a regular file", d.Path, kind)
	}
	return n, nil
}

// give reads a file that is opened once: what is put in its place is not seen, what happens to itself is.
func (h *Fake) give(ctx context.Context, d host.Download, got *host.Downloaded, half bool) error {
	if err := d.Check(); err != nil {
		return err
	}
	n, err := h.m.opened(d)
	if err != nil {
		return err
	}
	read := func(b []byte, at int64) []byte {
		h.m.mu.Lock()
		defer h.m.mu.Unlock()
		return b[:copy(b, n.content[min(at, int64(len(n.content))):])]
	}
	h.m.mu.Lock()
	got.Size = int64(len(n.content))
	h.m.mu.Unlock()
	tell := func() {
		if d.Progress != nil {
			d.Progress(d.From+got.Got, got.Size)
		}
	}
	tell()
	end := got.Size
	if half {
		end = d.From + (end-d.From)/2
	}
	for b := make([]byte, piece); d.From+got.Got < end; {
		if h.cutsDownload(got.Got) {
			return h.unreachable(ErrCut)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case h.isDead():
			return h.unreachable(ErrCut)
		}
		next := read(b[:min(piece, end-d.From-got.Got, h.untilCut(got.Got))], d.From+got.Got)
		if len(next) == 0 {
			return fmt.Errorf("it shrank while it was read: the last %d of %d bytes were not there", end-d.From-got.Got, got.Size)
		}
		w, err := d.To.Write(next)
		got.Got += int64(w)
		if err == nil && w != len(next) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return err
		}
		tell()
	}
	if h.cutsDownload(got.Got) {
		return h.unreachable(ErrCut)
	}
	if more := read(make([]byte, 1), got.Size); len(more) > 0 {
		return fmt.Errorf("it grew while it was read: it had %d bytes, and more came", got.Size)
	}
	return nil
}

// faults are those that a call meets: the machine's, and its world's.
func (h *Fake) faults() []*Faults {
	if h.m.world == nil {
		return []*Faults{&h.m.Faults}
	}
	return []*Faults{&h.m.Faults, h.m.world}
}

// cutsDownload reports whether a download is cut after so many bytes; then every session is.
func (h *Fake) cutsDownload(given int64) bool {
	for _, f := range h.faults() {
		if f.cutsDownload(given) {
			h.m.dropSessions()
			return true
		}
	}
	return false
}

// untilCut is how many bytes more a download gives before it is cut.
func (h *Fake) untilCut(given int64) int64 {
	left := int64(piece)
	for _, f := range h.faults() {
		f.mu.Lock()
		if f.short && f.shortAt > given {
			left = min(left, f.shortAt-given)
		}
		f.mu.Unlock()
	}
	return left
}
