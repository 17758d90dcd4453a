package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// workplace is a folder in which something is made and of which nothing stays.
// It says by a file in it that it is one, locked while somebody works: where
// that file is, all is of a call that was cut.
type workplace struct {
	dir  string
	lock *flock.Flock
}

const workplaceMark = ".kvserver-work"

// openWorkplace makes the folder, which must be new, empty, or what an earlier call has left; that is removed.
func openWorkplace(dir string) (workplace, error) {
	fail := func(err error) (workplace, error) {
		return workplace{}, fmt.Errorf("cannot work in %q: %w", dir, err)
	}
	if dir == "" {
		return fail(errors.New("it wants a folder to work in"))
	}
	w := workplace{dir: dir, lock: flock.New(filepath.Join(dir, workplaceMark))}
	left, err := exists(w.lock.Path())
	if err == nil && !left {
		err = errors.Join(empty(dir), makeFolder(dir))
	}
	if err != nil {
		return fail(err)
	}
	switch got, err := w.lock.TryLock(); {
	case err != nil:
		return fail(err)
	case !got:
		return fail(errors.New("another process works in it"))
	}
	if err := w.clear(); err != nil {
		return fail(errors.Join(err, w.lock.Unlock()))
	}
	return w, nil
}

func (w workplace) clear() error {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == workplaceMark {
			continue
		}
		if err := os.RemoveAll(filepath.Join(w.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// close removes all that is in the folder, and the folder if it may be (a mount point stays).
func (w workplace) close() error {
	err := w.clear()
	if err == nil {
		err = os.Remove(w.lock.Path())
	}
	err = errors.Join(err, w.lock.Unlock())
	if rerr := os.Remove(w.dir); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) && empty(w.dir) != nil {
		err = errors.Join(err, rerr)
	}
	return err
}

func (w workplace) path(name string) string { return filepath.Join(w.dir, name) }
