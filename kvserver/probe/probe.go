// Package probe finds out whether the hosts of a cluster reach each other on
// their peer ports, while no member runs there yet. It listens where the member
// will, dials where the member will dial, and is gone when everybody has met
// or the time is over. It speaks two lines of text and answers nothing else.
package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"quorate/kvserver"
)

// Run reads one [kvserver.PeerProbe] as JSON and writes a [kvserver.PeerProbeAnswer].
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	var p kvserver.PeerProbe
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return fmt.Errorf("cannot read what to probe: %w", err)
	}
	return json.NewEncoder(out).Encode(Peers(ctx, p))
}

// longest is what a probe may take at the most, whatever it is asked: it listens on a member's port.
const longest = 30 * time.Second

// Peers listens, dials every peer until it answers under its name, and goes on
// listening until every peer has called, or the time is over.
func Peers(ctx context.Context, p kvserver.PeerProbe) kvserver.PeerProbeAnswer {
	ctx, cancel := context.WithTimeout(ctx, min(time.Duration(p.TimeoutMS)*time.Millisecond, longest))
	defer cancel()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", p.Listen)
	if err != nil {
		return kvserver.PeerProbeAnswer{ListenError: err.Error()}
	}
	m := &meeting{name: p.Name, missing: map[string]bool{}, all: make(chan struct{})}
	for _, peer := range p.Peers {
		m.missing[peer.Name] = true
	}
	if len(m.missing) == 0 {
		close(m.all)
	}
	var listening sync.WaitGroup
	listening.Go(func() { m.listen(l) })
	unreached := failures(p.Peers, func(peer kvserver.ProbePeer) error { return m.reach(ctx, peer) })
	select {
	case <-m.all:
	case <-ctx.Done(): // who has not called says so itself
	}
	l.Close()
	listening.Wait()
	return kvserver.PeerProbeAnswer{Unreached: unreached}
}

// failures tries all peers at once, and says with which it did not work, by name, and why.
func failures(peers []kvserver.ProbePeer, try func(kvserver.ProbePeer) error) map[string]string {
	failed := map[string]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, p := range peers {
		all.Go(func() {
			if err := try(p); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[p.Name] = err.Error()
			}
		})
	}
	all.Wait()
	return failed
}

// meeting is which of the peers have not called yet.
type meeting struct {
	name string

	mu      sync.Mutex
	missing map[string]bool
	all     chan struct{} // closed once none is missing
}

func (m *meeting) listen(l net.Listener) {
	var calls sync.WaitGroup
	for {
		c, err := l.Accept()
		if err != nil {
			calls.Wait()
			return
		}
		calls.Go(func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(time.Second))
			fmt.Fprintf(c, "%s\n", m.name)
			if caller, err := line(c); err == nil {
				m.met(caller)
			}
		})
	}
}

func (m *meeting) met(caller string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.missing[caller] {
		return
	}
	if delete(m.missing, caller); len(m.missing) == 0 {
		close(m.all)
	}
}

// reach dials a peer until it answers under its name, or ctx ends; the last error tells why it did not. That the time was
// over while it tried once more tells less than what it was told before.
func (m *meeting) reach(ctx context.Context, peer kvserver.ProbePeer) error {
	var why error
	for {
		err := m.once(ctx, peer)
		if err == nil || errors.As(err, new(*strangerError)) {
			return err
		}
		if ctx.Err() != nil && why != nil {
			return why
		}
		why = err
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (m *meeting) once(ctx context.Context, peer kvserver.ProbePeer) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", peer.Address)
	if err != nil {
		return err
	}
	defer c.Close()
	if d, ok := ctx.Deadline(); ok {
		c.SetDeadline(d)
	}
	answer, err := line(c)
	if err != nil {
		return fmt.Errorf("%s accepts connections and says nothing: %w", peer.Address, err)
	}
	if answer != peer.Name {
		return &strangerError{peer.Address, answer}
	}
	_, err = fmt.Fprintf(c, "%s\n", m.name)
	return err
}

// strangerError: somebody else answers at a peer's address; waiting does not change that.
type strangerError struct{ address, name string }

func (e *strangerError) Error() string {
	return fmt.Sprintf("%s leads to %q", e.address, e.name)
}

// line is a short line of text.
func line(r io.Reader) (string, error) {
	s, err := bufio.NewReader(io.LimitReader(r, 256)).ReadString('\n')
	return strings.TrimSuffix(s, "\n"), err
}
