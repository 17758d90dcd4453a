package authority

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"quorate/internal/durable"
)

// put writes a file by [durable.Write], or by [durable.Create], which never replaces
// one. The folder is made (0700) if it is missing.
func put(write func(durable.File) error, path string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return write(durable.File{Path: path, Mode: mode, UID: -1, GID: -1, Content: content})
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
