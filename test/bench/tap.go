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

// trip is one round trip: something went out, and an answer came.
type trip struct {
	begin, end time.Time
	sent       int // bytes that went out in between
}

// stream reports whether the trip is a window's worth of a large file on its
// way: how many of these there are is a matter of the file's size and of sshd's
// window (2 MiB), not of the protocol. What else goes out in one trip is far smaller.
func (t trip) stream() bool { return t.sent > 256<<10 }

// trips lists the sequential round trips on a connection whose peer is half a
// round trip away in each direction: something goes out; the first that can be
// an answer to it comes in, a round trip later at the earliest; the next goes
// out after that. No chain of questions and answers on the connection is longer
// than this one, whichever of them had to wait for which; and it is no longer
// than the time from end to end in round trips, so the farther the peer, the
// less can the time that commands take add to it. Nothing before from or after to counts.
func trips(notes []note, from, to time.Time, rtt time.Duration) []trip {
	var out []trip
	for i := 0; ; {
		i = next(notes, i, from, false)
		if i == len(notes) {
			return out
		}
		t := trip{begin: notes[i].at}
		j := next(notes, i, t.begin.Add(rtt), true)
		if j == len(notes) || notes[j].at.After(to) {
			return out
		}
		t.end = notes[j].at
		for _, n := range notes[i:j] {
			if !n.read {
				t.sent += n.n
			}
		}
		out = append(out, t)
		from, i = t.end, j
	}
}

// next is the index of the first note at i or later, of that direction and not before at; len(notes) if there is none.
func next(notes []note, i int, at time.Time, read bool) int {
	for ; i < len(notes); i++ {
		if notes[i].read == read && !notes[i].at.Before(at) {
			return i
		}
	}
	return i
}

func (t *tap) all() []note {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.notes)
}
