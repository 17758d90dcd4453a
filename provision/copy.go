package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"quorate/internal/resources"
	"quorate/provision/host"
)

// Copy brings a file of a machine of the spec here, a member's or a host block's, as it lies there; whoever asks sees by the file
// itself whether it is whole, since nobody says beforehand how large it is and what its digest. It is made at a path of this
// side, mode 0600, where nothing may be yet; where there is no room for it, it is not begun. progress hears of the bytes that are here, of all.
//
// It is not tried again, and nothing is left of one that was cut. A file that is not on the host is fs.ErrNotExist.
func (s *Session) Copy(ctx context.Context, machine, remotePath, to string, progress func(got, total int64)) (err error) {
	defer func() {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no such file: %w", err)
		}
		if err != nil {
			err = fmt.Errorf("cannot fetch %s of host %q: %w", remotePath, machine, err)
		}
	}()
	m := s.cluster.Machine(machine)
	if m == nil {
		return errors.New("the spec has no such host")
	}
	s.adopt(m) // a host block that no install names is not connected otherwise
	h, err := s.Reader(ctx, machine)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	c := &copying{File: f}
	_, err = h.Download(ctx, host.Download{Path: remotePath, To: c, Progress: func(got, total int64) {
		if !c.begun {
			c.begun, c.lacks = true, resources.Room(filepath.Dir(to), total)
		}
		progress(got, total)
	}})
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(to))
	}
	return err
}

// copying is a file that comes only where there is room for it.
type copying struct {
	*os.File
	begun bool
	lacks error
}

func (c *copying) Write(b []byte) (int, error) {
	if c.lacks != nil {
		return 0, c.lacks
	}
	return c.File.Write(b)
}
