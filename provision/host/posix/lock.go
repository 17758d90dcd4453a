package posix

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"quorate/provision/host"
)

// heartbeat is how often the lock's script hears of us; it gives up after 45 s of silence.
const heartbeat = 10 * time.Second

// lockLimit bounds what the script may say of a lock: a line of the holder's.
const lockLimit = 64 << 10

// releaseWait bounds how long Unlock waits for the script to be gone; the end
// of its standard input ends it at once on any live connection.
const releaseWait = 5 * time.Second

// lock is one held lock: the script that holds the flock, fed by stdin.
type lock struct {
	h        *Host
	stdin    *io.PipeWriter
	cancel   context.CancelFunc
	ended    chan struct{} // closed when the script is gone
	endErr   error         // set before ended is closed
	once     sync.Once
	released chan struct{}
}

// Lock implements host.Host. When the script that holds the flock ends before
// Unlock, calls that would change the host fail from then on.
func (h *Host) Lock(ctx context.Context, r host.LockRequest) (unlock func() error, err error) {
	defer saying(&err, "cannot lock host %q", h.o.Name)
	if err := errors.Join(h.open(), checkPath(r.Path)); err != nil {
		return nil, err
	}
	if h.o.Lock != nil {
		return h.o.Lock(ctx, r)
	}
	return h.lock(ctx, r)
}

func (h *Host) lock(ctx context.Context, r host.LockRequest) (unlock func() error, err error) {
	holder := r.Holder
	holder.From = "" // the script says it, as the host sees it
	who, err := json.Marshal(holder)
	if err != nil {
		return nil, err
	}
	seconds := int((r.Wait + time.Second - 1) / time.Second)
	args := []string{r.Path, fmt.Sprint(seconds), string(who), inJSON(r.Holder.From)}
	var look *locking
	if r.Look != nil {
		if q, request, err := h.asked(ctx, *r.Look); err == nil {
			look = &locking{query: q, last: rand.Text()}
			args = append(args, framed(request), look.last)
		}
	}
	argv := scriptArgv("lock", lockScript, args...)
	began := h.o.Now()

	// The script lives longer than this call.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	stderr := &bounded{limit: stderrLimit, drop: true}
	l := &lock{h: h, stdin: inW, cancel: cancel, ended: make(chan struct{}), released: make(chan struct{})}
	go func() {
		exit, err := h.t.Exec(life, argv, inR, outW, stderr)
		if err == nil {
			err = fmt.Errorf("its process ended with code %d: %s", exit, strings.TrimSpace(stderr.buf.String()))
		}
		l.endErr = err
		close(l.ended)
		inR.CloseWithError(io.ErrClosedPipe)
		outW.Close()
	}()

	first := make(chan []byte, 1)
	limit := int64(lockLimit)
	if look != nil {
		limit += answerLimit
	}
	go func() {
		in := bufio.NewReader(io.LimitReader(outR, limit))
		lines := until(in, "end")
		if look != nil && bytes.HasPrefix(lines, []byte("locked\n")) {
			look.answer = until(in, look.last)
		}
		first <- lines
		_, _ = io.Copy(io.Discard, outR)
	}()
	var lines []byte
	select {
	case lines = <-first:
	case <-ctx.Done():
		cancel()
		inW.Close()
		return nil, ctx.Err()
	}
	answer, rest, _ := strings.Cut(strings.TrimSuffix(string(lines), "\n"), "\t")
	if answer == "locked" {
		h.mu.Lock()
		h.locks[l], h.held = true, r
		h.mu.Unlock()
		go l.watch()
		if look != nil {
			if body, whole := unframed(bytes.TrimSuffix(look.answer, []byte("\n"))); whole && failure(body) == "" {
				if found, err := h.found(ctx, look.query, body, h.o.Now().Sub(began)); err == nil {
					r.Found(found)
				}
			}
		}
		return l.release, nil
	}
	cancel()
	inW.Close()
	switch answer {
	case "held":
		return nil, &host.LockedError{Host: h.o.Name, Holder: host.ParseHolder([]byte(rest))}
	case "fail":
		return nil, errors.New(failure(lines))
	}
	<-l.ended
	return nil, l.endErr
}

// locking is a look that the lock's script takes.
type locking struct {
	query  host.Query
	last   string // the line after the answer, which no file's content can know
	answer []byte
}

// until reads lines up to one that is last, or to the end.
func until(in *bufio.Reader, last string) []byte {
	var lines []byte
	for {
		line, err := in.ReadBytes('\n')
		if err != nil || string(line) == last+"\n" {
			return lines
		}
		lines = append(lines, line...)
	}
}

// watch feeds the script, and notes when it ends unasked.
func (l *lock) watch() {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-l.released:
			return
		case <-l.ended:
			l.h.mu.Lock()
			if l.h.lost == nil && !l.h.closed {
				l.h.lost = fmt.Errorf("the lock on host %q was lost (%w), and somebody else may hold it now; run again", l.h.o.Name, l.endErr)
			}
			delete(l.h.locks, l)
			l.h.mu.Unlock()
			return
		case <-tick.C:
			_, _ = io.WriteString(l.stdin, "alive\n") // a failure shows in ended
		}
	}
}

// release ends the script and waits until it is gone, so that the lock is free.
func (l *lock) release() error {
	var err error
	l.once.Do(func() {
		close(l.released)
		l.h.mu.Lock()
		delete(l.h.locks, l)
		l.h.held = host.LockRequest{}
		l.h.mu.Unlock()
		l.stdin.Close()
		wait := time.NewTimer(releaseWait)
		defer wait.Stop()
		select {
		case <-l.ended:
		case <-wait.C:
			err = fmt.Errorf("the lock on host %q is not known to be free: its process did not end within %s", l.h.o.Name, releaseWait)
		}
		l.cancel()
	})
	return err
}
