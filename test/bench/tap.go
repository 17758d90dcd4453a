package main

import (
	"net"
	"slices"
	"sync"
	"time"
)

// tap is a connection that notes when something went out and came in.
type tap struct {
	net.Conn
	mu    sync.Mutex
	notes []note
}

type note struct {
	at   time.Time
	read bool
	n    int // bytes
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.note(true, n)
	}
	return n, err
}

func (t *tap) Write(p []byte) (int, error) {
	t.note(false, len(p))
	return t.Conn.Write(p)
}

func (t *tap) note(read bool, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes = append(t.notes, note{time.Now(), read, n})
}

// span is a time from begin to end in which something was going on.
type span struct {
	what       string
	begin, end time.Time
}

// trip is one round trip: everybody waited, and then an answer came.
type trip struct {
	begin, end time.Time
	sent       int // bytes that went out since the one before
}

// stream reports whether the trip is a window's worth of a large file on its
// way: how many of these there are is a matter of the file's size and of sshd's
// window (2 MiB), not of the protocol. What else goes out in one trip is far smaller.
func (t trip) stream() bool { return t.sent >= 1<<20 }

// trips lists the round trips between from and to that followed one another on
// a connection whose peer is a round trip away that is long beside all
// thinking: the silences of at least half a round trip that end with something
// coming in. Whatever is asked at once, or shortly after one another, is
// waited for in one silence; a silence that ends with something going out was
// no waiting for this host. How long an answer takes beyond its way adds nothing.
func trips(notes []note, from, to time.Time, rtt time.Duration) []trip {
	var out []trip
	last, sent := from, 0
	for _, n := range notes {
		switch {
		case n.at.Before(from) || n.at.After(to):
			continue
		case !n.read:
			sent += n.n
		case n.at.Sub(last) >= rtt/2:
			out = append(out, trip{begin: last, end: n.at, sent: sent})
			sent = 0
		}
		last = n.at
	}
	return out
}

func (t *tap) all() []note {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.notes)
}
