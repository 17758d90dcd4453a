package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"quorate/provision/host"
)

// lockPoll is how often a lock that another run holds is tried again while waiting.
const lockPoll = 50 * time.Millisecond

// heldLock is a lock file held by this process; the kernel frees it when the process dies.
type heldLock struct {
	t    *transport
	file *flock.Flock
	once sync.Once
	err  error
}

// lock takes flock(2) in this process: macOS has no flock(1). It conflicts with
// every other process, and with another lock of the same file in this one.
func (t *transport) lock(ctx context.Context, r host.LockRequest) (func() error, error) {
	if err := os.MkdirAll(filepath.Dir(r.Path), 0o755); err != nil {
		return nil, err
	}
	file, err := t.claim(ctx, r.Path, r.Wait)
	if err != nil {
		return nil, err
	}
	if file == nil {
		held, _ := os.ReadFile(r.Path) // what cannot be read names nobody
		return nil, &host.LockedError{Host: t.c.Name, Holder: host.ParseHolder(held)}
	}
	line, err := json.Marshal(r.Holder)
	if err == nil {
		err = os.WriteFile(r.Path, append(line, '\n'), 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, file.Unlock())
	}
	l := &heldLock{t: t, file: file}
	t.mu.Lock()
	t.unlock[l], t.work = true, r.Path+".work"
	t.mu.Unlock()
	if err := t.quiet(ctx, r.Path+".work"); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l.release, nil
}

// openLock opens a lock file, making it if it is missing. One that is a link, no regular file, or somebody
// else's is an error: who made it would decide what is locked, and what is overwritten.
func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !info.Mode().IsRegular() || ok && int(owner.Uid) != os.Geteuid() && owner.Uid != 0 {
			err = fmt.Errorf("%s is no lock file of ours: look at who made it, and remove it", path)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// working is what a command holds while it runs under a lock, whether or not the run that began it
// still lives: guard.sh does the same on other hosts. nil without a lock.
func (t *transport) working() (*os.File, error) {
	t.mu.Lock()
	path := t.work
	t.mu.Unlock()
	if path == "" {
		return nil, nil
	}
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("the lock is another's (%s: %w); run again", path, err)
	}
	return f, nil
}

// quietWait is how long what an earlier run has left under way is waited for; lock.sh's is the same.
const quietWait = 30 * time.Second

// quiet waits until nothing of an earlier run is under way. Nobody else can begin anything: the lock is ours.
func (t *transport) quiet(ctx context.Context, path string) error {
	file, err := t.claim(ctx, path, quietWait)
	if err != nil {
		return err
	}
	if file == nil {
		return errors.New("what an earlier run began there is still under way; run again in a moment")
	}
	return file.Unlock()
}

// claim takes a file's lock; nil if it could not be had within wait.
func (t *transport) claim(ctx context.Context, path string, wait time.Duration) (*flock.Flock, error) {
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // who waits has it open, as anybody can see who looks for that
	file := flock.New(path, flock.SetFlag(os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW), flock.SetPermissions(0o600))
	free, err := file.TryLock()
	if !free && err == nil && wait > 0 {
		waiting, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		if free, err = file.TryLockContext(waiting, lockPoll); !free && waiting.Err() != nil {
			err = ctx.Err() // the time is over, or the call is
		}
	}
	if !free || err != nil {
		return nil, err
	}
	return file, nil
}

func (l *heldLock) release() error {
	l.once.Do(func() {
		l.t.mu.Lock()
		if delete(l.t.unlock, l); len(l.t.unlock) == 0 {
			l.t.work = ""
		}
		l.t.mu.Unlock()
		l.err = l.file.Unlock()
	})
	return l.err
}
