package local

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"quorate/provision/host"
)

// lockPoll is how often a lock that another run holds is tried again while waiting.
const lockPoll = 50 * time.Millisecond

// flock is a lock file held by this process; the kernel frees it when the process dies.
type flock struct {
	t    *transport
	f    *os.File
	once sync.Once
	err  error
}

// lock takes flock(2) in this process: macOS has no flock(1). It conflicts with
// every other process, and with another lock of the same file in this one.
func (t *transport) lock(ctx context.Context, r host.LockRequest) (func() error, error) {
	if err := os.MkdirAll(filepath.Dir(r.Path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(r.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := t.c.Now().Add(r.Wait)
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, err
		}
		if !t.c.Now().Before(deadline) {
			defer f.Close()
			return nil, &host.LockedError{Host: t.c.Name, Holder: readHolder(f)}
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
	line, err := json.Marshal(r.Holder)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(line, '\n'), 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	l := &flock{t: t, f: f}
	t.mu.Lock()
	t.unlock[l] = true
	t.mu.Unlock()
	return l.release, nil
}

// readHolder reads who holds the lock; what cannot be read is the zero Holder.
func readHolder(f *os.File) host.Holder {
	var holder host.Holder
	line := make([]byte, 4096)
	n, _ := f.ReadAt(line, 0)
	if json.Unmarshal(line[:n], &holder) != nil {
		return host.Holder{}
	}
	return holder
}

func (l *flock) release() error {
	l.once.Do(func() {
		l.t.mu.Lock()
		delete(l.t.unlock, l)
		l.t.mu.Unlock()
		l.err = l.f.Close()
	})
	return l.err
}
