package posix

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"quorate/provision/host"
)

// cleanWait bounds the removal of a staged file after a failed upload: it is a
// courtesy to the host and must not keep a user who pressed Ctrl-C.
const cleanWait = 5 * time.Second

// spaceMargin is kept free beyond what an upload needs: the file system's own
// bookkeeping, and small files that are written after it.
const spaceMargin = 1 << 20

// Upload implements host.Host: a script that compares and sees that there is
// room, the stream, and a script that unpacks beside the target, compares and
// renames. When the digest is there already nothing travels, unless it was
// thought to be new: then the stream goes out beside the first script.
func (h *Host) Upload(ctx context.Context, u host.Upload) (host.Change, error) {
	c, err := h.upload(ctx, u)
	if err != nil {
		return host.Change{}, fmt.Errorf("cannot upload %q to host %q: %w", u.Path, h.o.Name, noSpace(err))
	}
	return c, nil
}

func (h *Host) upload(ctx context.Context, u host.Upload) (host.Change, error) {
	if err := h.changing(); err != nil {
		return host.Change{}, err
	}
	if err := checkPath(u.Path); err != nil {
		return host.Change{}, err
	}
	if err := checkOwner(u.Owner); err != nil {
		return host.Change{}, err
	}
	p := h.parcel(u)
	packed, err := p.size()
	if err != nil {
		return host.Change{}, err
	}
	h.prepare() // while the host compares
	if u.New {
		p.send(ctx)
	}
	defer p.drop(ctx)
	digest, known := u.Blob.Digest(), "-"
	for stamp, d := range h.knownDigests() {
		if d == digest {
			known = stamp // one of them; a miss only costs a read
		}
	}
	owners := "yes"
	if h.o.IgnoreOwners {
		owners = "no"
	}
	mode, owner := fmt.Sprintf("%o", u.Mode), orDash(u.Owner)
	body, err := h.script(ctx, "upload", uploadCheckScript, []string{
		u.Path, digest, mode, owner, fmt.Sprint(u.Blob.Size() + spaceMargin), fmt.Sprint(packed), h.o.StageDir, known, owners,
	})
	if err != nil {
		return host.Change{}, err
	}
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	word, value, _ := strings.Cut(lines[len(lines)-1], "\t")
	switch {
	case word == "same" && plain(value):
		h.learn(value, digest)
		return host.Change{Path: u.Path, Changed: lines[0] == "changed", Digest: digest, Stamp: value}, nil
	case word != "send":
		return host.Change{}, fmt.Errorf("cannot understand the answer %q", body)
	}
	if err := p.arrived(ctx); err != nil {
		return host.Change{}, err
	}
	body, err = h.script(ctx, "upload", uploadFinishScript, []string{u.Path, digest, mode, owner, p.path, p.form(), owners})
	if err != nil {
		return host.Change{}, err
	}
	word, stamp, _ := strings.Cut(strings.TrimSuffix(string(body), "\n"), "\t")
	if word != "done" || !plain(stamp) {
		return host.Change{}, fmt.Errorf("cannot understand the answer %q", body)
	}
	p.taken = true
	h.learn(stamp, digest)
	return host.Change{Path: u.Path, Changed: true, Digest: digest, Stamp: stamp}, nil
}

// parcel is an upload's stream on its way to a file that nobody else knows of.
type parcel struct {
	h    *Host
	u    host.Upload
	path string
	near bool // it travels as it is
	// early, if not nil, gives what came of a stream that was begun before the host had compared; stop ends it.
	early chan error
	stop  context.CancelFunc
	sent  bool // something may lie at path
	taken bool // and lies there no more
}

func (h *Host) parcel(u host.Upload) *parcel {
	n, ok := h.t.(Near)
	return &parcel{h: h, u: u, path: path.Join(h.o.StageDir, ".quorate-"+rand.Text()), near: ok && n.Near()}
}

func (p *parcel) open() (stream io.ReadCloser, size int64, err error) {
	if p.near {
		stream, err = p.u.Blob.Open()
		return stream, p.u.Blob.Size(), err
	}
	return p.u.Blob.Compressed()
}

// form is the stream's, for the host.
func (p *parcel) form() string {
	if p.near {
		return "plain"
	}
	return "gzip"
}

// size is how many bytes travel.
func (p *parcel) size() (int64, error) {
	stream, size, err := p.open()
	if err != nil {
		return 0, err
	}
	return size, stream.Close()
}

func (p *parcel) stage(ctx context.Context) error {
	stream, size, err := p.open()
	if err != nil {
		return err
	}
	defer stream.Close()
	counted := &counter{ctx: ctx, r: stream}
	if p.u.Progress != nil {
		counted.report = func(sent int64) { p.u.Progress(sent, size) }
	}
	return p.h.t.Stage(ctx, p.path, counted)
}

// send begins the stream in the background.
func (p *parcel) send(ctx context.Context) {
	ctx, p.stop = context.WithCancel(ctx)
	p.early, p.sent = make(chan error, 1), true
	go func() { p.early <- p.stage(ctx) }()
}

// arrived waits for the stream that was begun. One that was not, or that did
// not work (the folder may not have been there), is sent now.
func (p *parcel) arrived(ctx context.Context) error {
	if p.early != nil {
		err := <-p.early
		p.early = nil
		if err == nil || ctx.Err() != nil {
			return err
		}
		p.remove(ctx)
	}
	p.sent = true
	return p.stage(ctx)
}

// drop ends a stream that nobody waits for and removes what lies there, also when ctx is over.
func (p *parcel) drop(ctx context.Context) {
	if p.stop != nil {
		p.stop()
	}
	if p.early != nil {
		<-p.early
	}
	if p.sent && !p.taken {
		p.remove(ctx)
	}
}

func (p *parcel) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWait)
	defer cancel()
	_, _ = p.h.script(ctx, "remove", removeScript, []string{"f\t" + p.path})
}

// prepare tells the transport that files will be staged soon, if it wants to know.
func (h *Host) prepare() {
	if p, ok := h.t.(interface{ Prepare() }); ok {
		p.Prepare()
	}
}
