package authority

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// put writes a file so that it is there whole or not at all: beside its place,
// fsynced, then renamed. With fresh it never replaces an existing one: the
// error is then fs.ErrExist. The folder is made (0700) if it is missing.
func put(path string, content []byte, mode fs.FileMode, fresh bool) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err = f.Chmod(mode); err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if fresh {
		// A link never replaces; a rename would.
		if err = os.Link(f.Name(), path); err == nil {
			err = os.Remove(f.Name())
		}
	} else {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// readPrivate reads a private key file and refuses it, as ssh does, when
// others than its owner can read it.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("its mode %04o lets others than its owner at it: chmod 600 %s, and consider whether they have read it", info.Mode().Perm(), path)
	}
	return os.ReadFile(path)
}

// exists tells, and keeps "could not ask" apart from "no".
func exists(path string) (bool, error) {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}
