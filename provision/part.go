package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	digests "hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"quorate/internal/durable"
)

// part is a file that has come in part. It is locked (flock) while somebody fetches it.
type part struct {
	want FetchRequest
	file *os.File
	size int64 // bytes of the file's beginning that are in it
	sum  digests.Hash
	told int64 // how many bytes the whole has, as its host says
	done bool  // it has got its name
}

// openPart is the part that an earlier Fetch of the same file has left, or a new one.
func openPart(ctx context.Context, r FetchRequest) (*part, error) {
	dir, base := filepath.Split(r.Path)
	if err := os.MkdirAll(filepath.Clean(dir), 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "."+base+"."+r.SHA256[:12]+".part")
	for {
		f, err := lockedPart(name)
		if err != nil {
			return nil, err
		}
		// Who had it before us may have given it its name, or removed it, between our opening it and locking it.
		if is, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) || err == nil && !same(f, is) {
			f.Close()
			continue
		} else if err != nil {
			f.Close()
			return nil, err
		}
		p := &part{want: r, file: f}
		if err := p.read(ctx); err != nil {
			p.file.Close()
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		return p, nil
	}
}

func lockedPart(name string) (*os.File, error) {
	// It is not waited for what is no file, and no link is followed.
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err == nil {
		err = f.Chmod(0o600)
	}
	// A file system without locks loses only what the lock would tell.
	if err == nil && errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
		err = fmt.Errorf("somebody else is fetching it: %s is locked", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func same(f *os.File, is fs.FileInfo) bool {
	info, err := f.Stat()
	return err == nil && os.SameFile(info, is)
}

// read digests what is there already. What is more than the whole file is no part of it.
func (p *part) read(ctx context.Context) error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > p.want.Size {
		return p.empty()
	}
	p.sum = sha256.New()
	p.size, err = io.Copy(p.sum, &reader{ctx, p.file})
	return err
}

// empty begins anew.
func (p *part) empty() error {
	p.size, p.sum = 0, sha256.New()
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	_, err := p.file.Seek(0, io.SeekStart)
	return err
}

// Write adds what comes, if it is of a file of the right size.
func (p *part) Write(b []byte) (int, error) {
	if err := p.fits(); err != nil {
		return 0, err
	}
	n, err := p.file.Write(b)
	p.size += int64(n)
	p.sum.Write(b[:n])
	return n, err
}

func (p *part) digest() string { return hex.EncodeToString(p.sum.Sum(nil)) }

// publish makes it durable and gives it its name.
func (p *part) publish() error {
	if err := p.file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(p.file.Name(), p.want.Path); err != nil {
		return err
	}
	p.done = true
	return durable.SyncDir(filepath.Dir(p.want.Path))
}

// close leaves the part for the next Fetch, if there is anything in it.
func (p *part) close() {
	if !p.done && p.size == 0 {
		_ = os.Remove(p.file.Name()) // an empty one does no harm
	}
	_ = p.file.Close() // what counts was synced
}

// reader is a file that is read for as long as ctx goes on.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}
