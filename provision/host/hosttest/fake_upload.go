package hosttest

import (
	"context"
	"fmt"
	"io"
	"path"

	"quorate/provision/host"
)

// Upload implements host.Host.
func (h *Fake) Upload(ctx context.Context, u host.Upload) (host.Change, error) {
	return call(ctx, h, Call{Method: "Upload", Writes: true, Detail: u.Path}, nil, func() (host.Change, error) {
		out, err := h.m.upload(ctx, u)
		if err != nil {
			err = fmt.Errorf("cannot upload %q to host %q: %w", u.Path, h.m.name, err)
		}
		return out, err
	})
}

func (m *Machine) upload(ctx context.Context, u host.Upload) (host.Change, error) {
	file := host.File{Path: u.Path, Mode: u.Mode, Owner: u.Owner}
	m.mu.Lock()
	n := m.files[path.Clean(u.Path)]
	same := n != nil && n.digest() == u.Blob.Digest()
	if same {
		file.Content = n.content
	}
	m.mu.Unlock()
	if !same {
		content, err := receive(ctx, u)
		if err != nil {
			return host.Change{}, err
		}
		if got := host.Digest(content); got != u.Blob.Digest() {
			return host.Change{}, fmt.Errorf("what arrived has digest %s, not %s", got, u.Blob.Digest())
		}
		file.Content = content
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.place(file)
}

// receive takes the content as it is: a fake is near.
func receive(ctx context.Context, u host.Upload) ([]byte, error) {
	stream, err := u.Blob.Open()
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	return io.ReadAll(&progress{ctx: ctx, r: stream, total: u.Blob.Size(), report: u.Progress})
}

type progress struct {
	ctx         context.Context
	r           io.Reader
	sent, total int64
	report      func(sent, total int64)
}

func (p *progress) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	p.sent += int64(n)
	if n > 0 && p.report != nil {
		p.report(p.sent, p.total)
	}
	return n, err
}
