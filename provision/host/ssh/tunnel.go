package ssh

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// tunnel is a connection from the host. SSH channels have no deadlines; here
// one that passes closes the connection, which is of no more use then.
type tunnel struct {
	net.Conn
	expired atomic.Bool
	mu      sync.Mutex
	timer   *time.Timer
}

func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	return n, t.late(err)
}

func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	return n, t.late(err)
}

func (t *tunnel) late(err error) error {
	if err != nil && t.expired.Load() {
		return os.ErrDeadlineExceeded
	}
	return err
}

// SetDeadline closes the connection at that time, unless it is set anew before.
func (t *tunnel) SetDeadline(at time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	if !at.IsZero() {
		t.timer = time.AfterFunc(time.Until(at), func() {
			t.expired.Store(true)
			t.Conn.Close()
		})
	}
	return nil
}

// SetReadDeadline is SetDeadline.
func (t *tunnel) SetReadDeadline(at time.Time) error { return t.SetDeadline(at) }

// SetWriteDeadline is SetDeadline.
func (t *tunnel) SetWriteDeadline(at time.Time) error { return t.SetDeadline(at) }

// Close ends the connection and its deadline.
func (t *tunnel) Close() error {
	t.mu.Lock()
	if t.timer != nil {
		t.timer.Stop()
	}
	t.mu.Unlock()
	return t.Conn.Close()
}
