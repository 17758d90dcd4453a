package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"quorate/internal/durable"
)

// held makes a folder and gives a path that leads to it whatever happens to its name: the folder around it may be
// the member's, whose account could put a link in its place while root writes. On Linux that is by descriptor
// (proc(5)), and the folder has to be ours and nobody else's to enter; elsewhere, where nothing runs as root, its name.
func held(dir string) (path string, release func(), err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", nil, err
	}
	if err := durable.SyncDir(filepath.Dir(dir)); err != nil || runtime.GOOS != "linux" {
		return dir, func() {}, err
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", nil, err
	}
	info, err := f.Stat()
	if err == nil {
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || int(st.Uid) != os.Geteuid() || info.Mode().Perm() != 0o700 {
			err = fmt.Errorf("%s was put there by somebody else", dir)
		}
	}
	if err != nil {
		return "", nil, errors.Join(err, f.Close())
	}
	// With the dot at its end it is the folder, not the link to it.
	return fmt.Sprintf("/proc/self/fd/%d/.", f.Fd()), func() { f.Close() }, nil
}

// hold makes the folders of o anew, and has o reach them as [held] says.
func (o *Options) hold() (release func(), err error) {
	var all []func()
	release = func() {
		for _, f := range all {
			f()
		}
	}
	take := func(dir string) (string, error) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return "", errors.Join(err, fmt.Errorf("%s is there already", dir))
		}
		path, done, err := held(dir)
		if err == nil {
			all = append(all, done)
		}
		return path, err
	}
	data, err := take(o.DataDir)
	if err == nil && o.WALDir != "" {
		var around string
		around, err = take(filepath.Dir(o.WALDir))
		o.WALDir = filepath.Join(around, filepath.Base(o.WALDir))
	}
	if err != nil {
		release()
		return nil, err
	}
	o.DataDir = data
	return release, nil
}
