package sshconfig

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// ReadFile reads files of this machine, for Query.Read. A folder is empty.
func ReadFile(name string, guarded bool) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return nil, err
	}
	if guarded {
		owner, ok := info.Sys().(*syscall.Stat_t)
		if ok && owner.Uid != 0 && int(owner.Uid) != os.Getuid() {
			return nil, errors.New("it belongs to somebody else\n  Make it your own: chown it")
		}
		if info.Mode()&0o022 != 0 {
			return nil, errors.New("others may write to it\n  Take that right away: chmod go-w")
		}
	}
	return os.ReadFile(name)
}

// Glob lists files of this machine, for Query.Glob: as filepath.Glob, but
// [!a] excludes, a leading dot must be written, and what is no pattern is a name.
func Glob(pattern string) ([]string, error) {
	found, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if errors.Is(err, filepath.ErrBadPattern) {
		if _, err := os.Lstat(pattern); err != nil {
			return nil, nil
		}
		return []string{pattern}, nil
	}
	parts := strings.Split(pattern, "/")
	found = slices.DeleteFunc(found, func(name string) bool {
		for i, p := range strings.Split(name, "/") {
			if i < len(parts) && strings.HasPrefix(p, ".") && !strings.HasPrefix(parts[i], ".") {
				return true
			}
		}
		return false
	})
	slices.Sort(found)
	return found, err
}
