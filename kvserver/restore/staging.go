package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"quorate/internal/durable"
	"quorate/kvserver/datadir"
)

// staging is where a data directory comes to be. Its members (member, the
// files of the WAL) are made in a work folder inside of it, on its own file system, and renamed once all
// is durable.
//
// The mark is the work folder in data, made before anything else and removed
// after everything: where it is, all that lies in data and in wal is of a
// restore that was cut, since both were empty before it was made. It says which folder wal was, before
// anything is put there.
type staging struct {
	data, wal string // wal empty: inside data
	uid, gid  int
}

const work = ".kvserver-restore"

func (s staging) mark() string     { return filepath.Join(s.data, work) }
func (s staging) noted() string    { return filepath.Join(s.mark(), "wal-dir") }
func (s staging) workData() string { return filepath.Join(s.mark(), "data") }
func (s staging) database() string { return datadir.Database(s.workData()) }

// workWAL is empty where the WAL is inside the data directory.
func (s staging) workWAL() string {
	if s.wal == "" {
		return ""
	}
	return filepath.Join(s.wal, work, "wal")
}

func (s staging) folders() []string {
	if s.wal == "" {
		return []string{s.data}
	}
	return []string{s.data, s.wal}
}

// begin removes what an earlier call has left unfinished, and makes the folders and the mark.
func (s staging) begin() error {
	unfinished, err := exists(s.mark())
	if err != nil {
		return err
	}
	if unfinished {
		if err := s.remove(); err != nil {
			return err
		}
	}
	for _, f := range []func(dir string) error{empty, makeFolder} {
		for _, dir := range s.folders() {
			if err := f(dir); err != nil {
				return err
			}
		}
	}
	if err := os.Mkdir(s.mark(), 0o700); err != nil {
		return err
	}
	if err := durable.SyncDir(s.data); err != nil || s.wal == "" {
		return err
	}
	if err := durable.Write(durable.File{Path: s.noted(), Mode: 0o600, UID: -1, GID: -1, Content: []byte(s.wal)}); err != nil {
		return err
	}
	return os.Mkdir(filepath.Join(s.wal, work), 0o700)
}

// unfinishedWAL is the folder in which the restore that was cut has its WAL; empty where it has none, or had not come as far.
func (s staging) unfinishedWAL() (string, error) {
	text, err := os.ReadFile(s.noted())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// empty is an error where a folder holds something; it need not be there.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty (%s is there): what is restored goes into a folder of its own", dir, entries[0].Name())
	}
	return nil
}

// makeFolder makes a folder where there is none.
func makeFolder(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(dir))
	}
	return err
}

// remove takes away what is unfinished, the mark last. What is there and
// is not what a restore makes is an error, and then nothing is removed.
func (s staging) remove() error {
	noted, err := s.unfinishedWAL()
	if err != nil {
		return err
	}
	if noted != "" && noted != s.wal {
		return fmt.Errorf("%s is unfinished, and its WAL is in %s: name that, or remove both", s.data, noted)
	}
	var ours []string
	for _, dir := range (staging{data: s.data, wal: noted}).folders() {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if !s.makes(dir, e.Name()) {
				return fmt.Errorf("%s is unfinished, and holds %s, which no restore has made: look at it and move it away", dir, path)
			}
			if path != s.mark() {
				ours = append(ours, path)
			}
		}
	}
	for _, path := range append(ours, s.mark()) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return durable.SyncDir(s.data)
}

// makes reports whether a restore puts an entry of that name into a folder.
func (s staging) makes(dir, name string) bool {
	if dir == s.data {
		return name == work || name == "member"
	}
	return name == work || strings.HasSuffix(name, ".wal") || strings.HasSuffix(name, ".tmp")
}

// finish gives everything its owner and mode, makes it durable, and puts it in its place; the mark goes last.
func (s staging) finish() error {
	if err := s.settle(s.workData()); err != nil {
		return err
	}
	if s.wal != "" {
		if err := s.settle(s.workWAL()); err != nil {
			return err
		}
		if err := raise(s.workWAL(), s.wal); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(s.wal, work)); err != nil {
			return err
		}
	}
	if err := raise(s.workData(), s.data); err != nil {
		return err
	}
	for _, dir := range s.folders() {
		if err := s.own(dir, 0o700); err != nil {
			return err
		}
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(s.mark()); err != nil {
		return err
	}
	return durable.SyncDir(s.data)
}

// raise moves all that is in a folder into the one named, and makes that durable.
func raise(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return durable.SyncDir(to)
}

// settle gives a tree its owner and modes, and fsyncs each file and folder of it.
func (s staging) settle(tree string) error {
	return filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o600)
		if e.IsDir() {
			mode = 0o700
		}
		if err := s.own(path, mode); err != nil {
			return err
		}
		return durable.SyncDir(path) // a file just as well
	})
}

func (s staging) own(path string, mode fs.FileMode) error {
	if s.uid >= 0 {
		if err := os.Lchown(path, s.uid, s.gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
