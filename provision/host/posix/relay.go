package posix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// Relay implements host.Host.
func (h *Host) Relay(ctx context.Context, argv []string) (c net.Conn, err error) {
	if len(argv) == 0 {
		return nil, fmt.Errorf("cannot run an empty command on host %q", h.o.Name)
	}
	defer saying(&err, "cannot run %s on host %q", argv[0], h.o.Name)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// net.Pipe has deadlines, which neither an SSH channel nor a pipe to a process has on its own.
	near, far := net.Pipe()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errOver
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &relay{Conn: near, h: h, cancel: cancel, ended: make(chan struct{})}
	h.relays[r] = true
	go func() {
		stderr := &bounded{limit: stderrLimit, drop: true}
		exit, err := h.t.Exec(life, argv, far, far, stderr)
		switch {
		case err != nil:
			r.cause = fmt.Errorf("cannot run %s on host %q: %w", argv[0], h.o.Name, err)
		case exit != 0:
			r.cause = fmt.Errorf("host %q: %s exited with %d: %s", h.o.Name, argv[0], exit, strings.TrimSpace(stderr.buf.String()))
		}
		close(r.ended)
		far.Close()
		h.mu.Lock()
		delete(h.relays, r)
		h.mu.Unlock()
	}()
	return r, nil
}

// relay is a command's standard input and output as a connection.
type relay struct {
	net.Conn
	h      *Host
	cancel context.CancelFunc
	closed bool // by us; guarded by h.mu

	ended chan struct{} // closed when the command is over; then:
	cause error         // why, if it was not a good end
}

func (r *relay) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	return n, r.why(err)
}

func (r *relay) Write(p []byte) (int, error) {
	n, err := r.Conn.Write(p)
	return n, r.why(err)
}

// why prefers the command's end to what it looks like to the connection.
func (r *relay) why(err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	r.h.mu.Lock()
	closed := r.closed
	r.h.mu.Unlock()
	if closed {
		return net.ErrClosed
	}
	<-r.ended
	if r.cause != nil {
		return r.cause
	}
	return err
}

// Close ends the command: its input ends, and its output goes nowhere.
func (r *relay) Close() error {
	r.h.mu.Lock()
	r.closed = true
	r.h.mu.Unlock()
	r.Conn.Close()
	r.cancel()
	return nil
}
