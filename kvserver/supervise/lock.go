package supervise

import (
	"fmt"
	"os"
	"strings"

	"github.com/gofrs/flock"
)

// acquire takes the flock on the pid file and writes this process's pid into
// it. The descriptor is closed on exec, so the child does not hold the lock.
func acquire(path string) (*flock.Flock, error) {
	l := flock.New(path, flock.SetFlag(os.O_RDWR|os.O_CREATE), flock.SetPermissions(0o644))
	free, err := l.TryLock()
	if err == nil && !free {
		pid, _ := os.ReadFile(path)
		return nil, fmt.Errorf("cannot supervise: %w (pid %s, by %s)", ErrRunning, strings.TrimSpace(string(pid)), path)
	}
	if err == nil {
		err = os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot take the pid file %s: %w", path, err)
	}
	return l, nil
}
