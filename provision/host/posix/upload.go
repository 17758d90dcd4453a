package posix

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"quorate/provision/host"
)

// spaceMargin is kept free beyond what an upload needs: the file system's own
// bookkeeping, and small files that are written after it.
const spaceMargin = 1 << 20

// Upload implements host.Host: one script that compares, sees that there is room, unpacks the stream
// beside the target, compares again and renames. When the digest is there already nothing travels, unless
// it was thought to be new: then the stream goes out behind the request, without waiting.
func (h *Host) Upload(ctx context.Context, u host.Upload) (c host.Change, err error) {
	defer saying(&err, "cannot upload %q to host %q", u.Path, h.o.Name)
	defer noSpace(&err)
	if err := errors.Join(h.changing(), checkPath(u.Path), checkOwner(u.Owner)); err != nil {
		return host.Change{}, err
	}
	s := &stream{u: u, form: "gzip"}
	s.out, s.in = io.Pipe()
	if n, ok := h.t.(Near); ok && n.Near() {
		s.form = "plain"
	}
	stop := context.AfterFunc(ctx, func() { s.in.CloseWithError(ctx.Err()) })
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go watch(ctx, stalled, s.sent.Load, cancel)
	digest, known := u.Blob.Digest(), "-"
	for stamp, d := range h.knownDigests() {
		if d == digest {
			known = stamp // one of them; a miss only costs a read
		}
	}
	owners, last, tag := "yes", "wait", rand.Text()
	if h.o.IgnoreOwners {
		owners = "no"
	}
	if u.New {
		s.begin()
		last = "end"
	}
	header := strings.Join([]string{
		u.Path, digest, fmt.Sprintf("%o", u.Mode), cmp.Or(u.Owner, "-"), fmt.Sprint(u.Blob.Size() + spaceMargin), known, s.form, owners, tag, last, "",
	}, "\n")
	body, err := h.talk(ctx, "upload", uploadScript, io.MultiReader(strings.NewReader(header), s.out), func(line string) {
		if line == "send" {
			s.begin()
		}
	})
	if err != nil && ctx.Err() != nil {
		h.tidy(ctx, path.Join(path.Dir(u.Path), "."+path.Base(u.Path)+".quorate-"+tag))
	}
	if failed := s.close(); failed != nil && ctx.Err() == nil {
		return host.Change{}, failed // what arrived was cut short for that
	}
	if err != nil {
		return host.Change{}, err
	}
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	word, stamp, _ := strings.Cut(lines[len(lines)-1], "\t")
	if word != "same" && word != "done" || !plain(stamp) {
		return host.Change{}, fmt.Errorf("cannot understand the answer %q", body)
	}
	h.learn(stamp, digest)
	return host.Change{Path: u.Path, Changed: word == "done" || lines[0] == "changed", Digest: digest, Stamp: stamp}, nil
}

// cleanWait bounds the removal of what an upload that was ended has left: it is a
// courtesy to the host and must not keep a user who pressed Ctrl-C.
const cleanWait = 5 * time.Second

// tidy removes a temporary file, also when ctx is over: the script may have been killed before it could.
func (h *Host) tidy(ctx context.Context, file string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWait)
	defer cancel()
	_, _ = h.script(ctx, "remove", removeScript, []string{"f\t" + file})
}

// stream is an upload's content as it travels. It is opened when it is wanted, and gives nothing until then.
type stream struct {
	u    host.Upload
	form string // gzip, or plain

	out     *io.PipeReader
	in      *io.PipeWriter
	once    sync.Once
	sending sync.WaitGroup
	sent    atomic.Int64
	size    int64
	err     error // what went wrong with the content itself
}

// begin lets the content out.
func (s *stream) begin() { s.once.Do(func() { s.sending.Go(s.send) }) }

func (s *stream) send() {
	var r io.ReadCloser
	if r, s.size, s.err = s.open(); s.err == nil {
		_, s.err = io.Copy(s, struct{ io.Reader }{r})
		_ = r.Close() // it was only read
	}
	s.in.CloseWithError(s.err)
}

// Write passes content on, and tells of it.
func (s *stream) Write(p []byte) (int, error) {
	n, err := s.in.Write(p)
	if sent := s.sent.Add(int64(n)); n > 0 && s.u.Progress != nil {
		s.u.Progress(sent, s.size)
	}
	return n, err
}

func (s *stream) open() (r io.ReadCloser, size int64, err error) {
	if s.form == "plain" {
		r, err = s.u.Blob.Open()
		return r, s.u.Blob.Size(), err
	}
	return s.u.Blob.Compressed()
}

// close ends it, whoever still reads, and says what went wrong with the content itself.
func (s *stream) close() error {
	s.out.Close()
	s.once.Do(func() {}) // it does not begin any more
	s.sending.Wait()
	if errors.Is(s.err, io.ErrClosedPipe) {
		return nil // nobody wanted the rest
	}
	return s.err
}
