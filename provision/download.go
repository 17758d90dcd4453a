package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"quorate/provision/host"
)

// FetchRequest is one file of a member's host that is to come to this side.
type FetchRequest struct {
	Member     string
	RemotePath string // on its host
	// Path is where to on this side. Its folder is made, mode 0700, if it is missing; the file has mode 0600.
	Path   string
	Size   int64  // bytes of the file
	SHA256 string // of the file, in hex
	// Progress, if set, hears of the bytes that are here, of Size. It may begin anew, see [Session.Fetch].
	Progress func(got, total int64)
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (r FetchRequest) check() error {
	switch {
	case !digestForm.MatchString(r.SHA256):
		return fmt.Errorf("%q is no sha256 in hex", r.SHA256)
	case r.Size < 0:
		return fmt.Errorf("no file has %d bytes", r.Size)
	case r.Path == "" || filepath.Clean(r.Path) != r.Path || filepath.Base(r.Path) == string(filepath.Separator):
		return fmt.Errorf("%q is no place for a file", r.Path)
	}
	return nil
}

func (r FetchRequest) tell(got int64) {
	if r.Progress != nil {
		r.Progress(got, r.Size)
	}
}

// Fetch brings a file from a member's host to this side. When it returns without an error the file is at its path, whole
// by size and sha256, and durable. Until then what has come is in .NAME.DIGEST.part beside it, DIGEST being the first 12
// digits of the sha256. The next Fetch of the same file goes on there, in another process too; nothing is tried again
// here, but for this: what an earlier Fetch has left may have been spoiled by a power cut, so if the file does not
// come out of it as it should, it is fetched once more from its beginning. If then it is another one still, that is an
// error, and nothing is left of it.
//
// The same file at the path is fine, and nothing travels. Another one stays and is an error, and so is a Fetch of the
// same file that is under way. A file that is not on the host is fs.ErrNotExist.
func (s *Session) Fetch(ctx context.Context, r FetchRequest) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot fetch %q of member %q to %s: %w", r.RemotePath, r.Member, r.Path, err)
		}
	}()
	if err := r.check(); err != nil {
		return err
	}
	p, err := openPart(ctx, r)
	if err != nil {
		return err
	}
	defer p.close()
	if there, err := r.there(ctx); there || err != nil {
		return err
	}
	h, err := s.Reader(ctx, r.Member)
	if err != nil {
		return err
	}
	for again := p.size > 0; ; again = false {
		if err := p.receive(ctx, h); err != nil {
			return err
		}
		digest := p.digest()
		if digest == r.SHA256 {
			return p.publish()
		}
		if err := p.empty(); err != nil {
			return err
		}
		if !again {
			return fmt.Errorf("what came has the sha256 %s, not %s: on its host it is another file by now, or is spoiled", digest, r.SHA256)
		}
	}
}

// there reports whether the file is at its path already; that another one is, is an error.
func (r FetchRequest) there(ctx context.Context) (bool, error) {
	info, err := os.Lstat(r.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.Mode().IsRegular() && info.Size() == r.Size:
		f, err := os.Open(r.Path)
		if err != nil {
			return false, err
		}
		defer f.Close()
		sum := sha256.New()
		if _, err := io.Copy(sum, &reader{ctx, f}); err != nil {
			return false, err
		}
		if hex.EncodeToString(sum.Sum(nil)) == r.SHA256 {
			r.tell(r.Size)
			return true, nil
		}
	}
	return false, errors.New("something else is there already; move it away, or name another place")
}

// receive brings what is missing of the file from its host.
func (p *part) receive(ctx context.Context, h host.Reader) error {
	p.told = p.want.Size
	p.want.tell(p.size)
	if p.size == p.want.Size {
		return nil
	}
	_, err := h.Download(ctx, host.Download{Path: p.want.RemotePath, From: p.size, To: p, Progress: func(got, total int64) {
		if p.told = total; total == p.want.Size {
			p.want.tell(got)
		}
	}})
	if err == nil {
		err = p.fits()
	}
	return err
}

// fits says whether the host told of a file of the right size.
func (p *part) fits() error {
	if p.told != p.want.Size {
		return fmt.Errorf("on its host it has %d bytes, not %d: it is another file by now", p.told, p.want.Size)
	}
	return nil
}
