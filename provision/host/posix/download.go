package posix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"quorate/provision/host"
)

// refusalLimit bounds what a script says in place of a file.
const refusalLimit = 64 << 10

// Download implements host.Host: one script that says the file's size and becomes cat. It is not behind the guard of
// those that change the host, and it may take as long as it goes on.
func (h *Host) Download(ctx context.Context, d host.Download) (got host.Downloaded, err error) {
	defer saying(&err, "cannot download %q from host %q", d.Path, h.o.Name)
	if err := errors.Join(h.open(), checkPath(d.Path), d.Check()); err != nil {
		return got, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := &arriving{d: d, giveUp: cancel, head: bounded{limit: refusalLimit}}
	go watch(ctx, stalled, in.got.Load, cancel)
	stderr := &bounded{limit: stderrLimit, drop: true}
	request := framed([]string{d.Path, strconv.FormatInt(d.From, 10)})
	exit, err := h.t.Exec(ctx, scriptArgv("download", downloadScript), strings.NewReader(request), in, stderr)
	failed := in.end() // a transport may still be reading when ctx is over
	got = host.Downloaded{Size: in.size, Got: in.got.Load()}
	missing := in.size - d.From - got.Got
	switch {
	case failed != nil:
		return got, failed
	case err != nil:
		return got, late(ctx, err)
	case !in.begun:
		return got, in.refusal(exit, stderr)
	case exit != 0:
		return got, ended(exit, stderr, fmt.Sprintf("the last %d of %d bytes did not come", missing, in.size))
	case missing > 0:
		return got, fmt.Errorf("it shrank while it was read: the last %d of %d bytes were not there", missing, in.size)
	}
	return got, nil
}

// arriving is a file that comes behind the line that tells its size, or what the script says in its place.
type arriving struct {
	d      host.Download
	giveUp context.CancelCauseFunc
	got    atomic.Int64 // bytes of the file that are with To

	mu    sync.Mutex
	head  bounded // the first line, as far as it is here; or all, where that does not tell a size
	said  bool    // the first line is whole and tells none
	begun bool    // it told size
	size  int64
	err   error // To's, or what is wrong with what came
	over  bool  // nobody listens any more
}

// end waits until a write to To is over; there is none after it. It gives what went wrong on this side.
func (a *arriving) end() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	return a.err
}

// Write takes what comes. An error ends the script at once: it may be waiting for its disk, and would not notice.
func (a *arriving) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.over:
		return 0, io.ErrClosedPipe
	case a.err != nil:
		return 0, a.err
	}
	rest := p
	if !a.begun {
		rest, a.err = a.begin(p)
	}
	if len(rest) > 0 && a.err == nil {
		a.err = a.content(rest)
	}
	if a.err != nil {
		a.giveUp(a.err)
		return 0, a.err
	}
	return len(p), nil
}

// begin reads the first line, and gives what comes after it if it tells the size. Anything else is kept.
func (a *arriving) begin(p []byte) (content []byte, err error) {
	if !a.said {
		line, after, whole := bytes.Cut(p, []byte("\n"))
		if _, err := a.head.Write(line); err != nil || !whole {
			return nil, err
		}
		if text, ok := bytes.CutPrefix(a.head.buf.Bytes(), []byte("size\t")); ok {
			size, err := strconv.ParseUint(string(text), 10, 63)
			if err != nil || int64(size) < a.d.From {
				return nil, fmt.Errorf("cannot understand the answer %q", a.head.buf.Bytes())
			}
			a.size, a.begun = int64(size), true
			a.tell()
			return after, nil
		}
		a.said = true
		p = append([]byte("\n"), after...)
	}
	_, err = a.head.Write(p)
	return nil, err
}

// content passes on what is the file's, up to the size that it had.
func (a *arriving) content(p []byte) error {
	left := a.size - a.d.From - a.got.Load()
	grew := int64(len(p)) > left
	if grew {
		p = p[:left]
	}
	if len(p) > 0 {
		n, err := a.d.To.Write(p)
		a.got.Add(int64(max(0, min(n, len(p)))))
		switch {
		case err != nil:
			return err
		case n != len(p):
			return io.ErrShortWrite
		}
		a.tell()
	}
	if grew {
		return fmt.Errorf("it grew while it was read: it had %d bytes, and more came", a.size)
	}
	return nil
}

func (a *arriving) tell() {
	if a.d.Progress != nil {
		a.d.Progress(a.d.From+a.got.Load(), a.size)
	}
}

// refusal is why no file came.
func (a *arriving) refusal(exit int, stderr *bounded) error {
	body, err := understood(a.head.buf.Bytes(), exit, stderr)
	switch {
	case err != nil:
		return err
	case string(body) == "missing\n":
		return fs.ErrNotExist
	}
	return fmt.Errorf("cannot understand the answer %q", body)
}
