package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// acquire takes the flock on the pid file and writes this process's pid into
// it. The descriptor is closed on exec, so the child does not hold the lock.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open the pid file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid, _ := io.ReadAll(io.LimitReader(f, 20))
		f.Close()
		return nil, fmt.Errorf("cannot supervise: %w (pid %s, by %s)", ErrRunning, strings.TrimSpace(string(pid)), path)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot take the pid file %s: %w", path, err)
	}
	return f, nil
}
