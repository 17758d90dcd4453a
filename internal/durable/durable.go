// Package durable writes small files so that a power cut at any moment leaves
// the old content or the new one, and so that what has returned is on the disk:
// the folder is fsynced too. That, and an owner that is right before the first
// byte, is what the usual packages for atomic writes leave to their caller.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// File is what is to be at a path.
type File struct {
	Path string
	Mode fs.FileMode // permissions, whatever the umask
	// UID and GID of the owner; -1 leaves the process's own.
	UID, GID int
	Content  []byte
}

// Write puts the file in place, whole, and returns once that is durable. The
// folder must be there. Another file at the path is replaced; a folder is not.
func Write(f File) error { return place(f, os.Rename) }

// Create is [Write] where nothing may be at the path yet: the error is fs.ErrExist
// otherwise, and what is there stays.
func Create(f File) error {
	return place(f, func(from, to string) error {
		if err := os.Link(from, to); err != nil { // never replaces; a rename would
			return err
		}
		return os.Remove(from)
	})
}

// place writes the file beside its path under a hidden name of its own, and puts it in place from there.
func place(f File, put func(from, to string) error) error {
	dir := filepath.Dir(f.Path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(f.Path)+".*") // O_EXCL, 0600
	if err != nil {
		return err
	}
	if err := fill(tmp, f); err != nil {
		return err
	}
	if err := put(tmp.Name(), f.Path); err != nil {
		os.Remove(tmp.Name())
		return err
	}
	return SyncDir(dir)
}

// StageAt writes a file under the name given, with its owner and mode before its
// first byte, and fsyncs it. It takes the place of what an earlier run may have
// left there, and follows no link. The caller renames it.
func StageAt(name string, f File) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return fill(tmp, f)
}

func fill(tmp *os.File, f File) (err error) {
	if f.UID >= 0 {
		err = tmp.Chown(f.UID, f.GID)
	}
	if err == nil {
		err = tmp.Chmod(f.Mode.Perm())
	}
	if err == nil {
		_, err = tmp.Write(f.Content)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// SyncDir makes durable what was renamed, linked or removed in a folder.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
