package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/gofrs/flock"
)

// unpackedForm is the name of a file that a snapshot is unpacked into: os.CreateTemp's, of unpackedPattern.
var unpackedForm = regexp.MustCompile(`^\.verify-[0-9]+$`)

const unpackedPattern = ".verify-*"

// unpacked is a file that a snapshot is unpacked into. It is locked (flock, shared: bolt locks it as well) from before
// anything is in it until it is removed, so that what somebody who was killed has left can be told from what is in use. Where
// a file system has no locks, nothing is removed.
type unpacked struct {
	*os.File
	lock *flock.Flock
}

// newUnpacked makes one in a folder, after what was left there is removed.
func newUnpacked(dir string) (*unpacked, error) {
	if err := removeUnpacked(dir); err != nil {
		return nil, err
	}
	for {
		f, err := os.CreateTemp(dir, unpackedPattern) // 0600
		if err != nil {
			return nil, err
		}
		u := &unpacked{f, flock.New(f.Name())}
		if held, err := u.lock.TryRLock(); (held || err != nil) && u.there() {
			return u, nil
		}
		// Somebody who tidies up took it for one that was left, before it was locked.
		u.remove()
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// there reports whether the file has its name still.
func (u *unpacked) there() bool {
	is, err := os.Lstat(u.Name())
	if err != nil {
		return false
	}
	was, err := u.Stat()
	return err == nil && os.SameFile(is, was)
}

// remove the file, which may be closed by then, and give its lock back.
func (u *unpacked) remove() {
	_ = os.Remove(u.Name())
	_ = u.lock.Unlock()
}

// removeUnpacked removes from a folder what nobody has locked.
func removeUnpacked(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !unpackedForm.MatchString(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
		if held, err := lock.TryLock(); err != nil || !held {
			continue // in use, gone by now, or another account's
		}
		err := os.Remove(path)
		_ = lock.Unlock()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
