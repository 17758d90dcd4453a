package ssh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"quorate/provision/host"
	"quorate/provision/host/posix"
)

// maxCommands run at once on one connection, beside sudo and those kept in reserve.
const maxCommands = maxSessions - 1 - reserved

// maxSessions is what sshd allows (MaxSessions).
const maxSessions = 10

// Conn is one login. It is a posix.Transport.
type Conn struct {
	c        Config
	hop      hop
	clients  []*ssh.Client // outermost first; the last is the host's
	slots    chan struct{} // one for each command that may run
	ended    atomic.Int64  // commands that have
	running  atomic.Int64  // commands that have a session
	distance atomic.Int64  // see roundTrip
	root     *root
	mark     string // printed before a command's own output

	lost     chan struct{} // closed when the connection is gone
	lostOnce sync.Once
	mu       sync.Mutex
	cause    error         // why it is gone
	spares   []*spare      // oldest first
	slow     string        // see Slow
	counted  chan struct{} // closed when the next is known
	single   bool          // one session at a time
}

var _ posix.Transport = (*Conn)(nil)

func newConn(c Config, h hop, clients []*ssh.Client) *Conn {
	k := &Conn{c: c, hop: h, clients: clients, slots: make(chan struct{}, maxCommands), lost: make(chan struct{}), counted: make(chan struct{})}
	k.root, k.mark = newRoot(c, h.user), "quorate-"+rand.Text()
	go func() { k.end(k.client().Wait()) }()
	if c.KeepAlive > 0 {
		go k.keepAlive()
	}
	if !c.Reads {
		go k.measure()
	}
	if k.root.needed {
		k.root.call(k)
	} else {
		k.countSessions()
	}
	return k
}

func (k *Conn) client() *ssh.Client { return k.clients[len(k.clients)-1] }

// end notes why the connection is gone, and closes what is left of it.
func (k *Conn) end(cause error) {
	k.lostOnce.Do(func() {
		if cause == nil {
			cause = errors.New("the connection was closed")
		}
		k.mu.Lock()
		k.cause = cause
		k.mu.Unlock()
		close(k.lost)
		for i := len(k.clients) - 1; i >= 0; i-- {
			k.clients[i].Close()
		}
	})
}

// Close ends the session.
func (k *Conn) Close() error {
	k.end(net.ErrClosed)
	return nil
}

// gone is the error of a call on a connection that was lost.
func (k *Conn) gone() error {
	k.mu.Lock()
	cause := k.cause
	k.mu.Unlock()
	return &host.UnreachableError{
		Host: k.c.Name, Address: k.hop.user + "@" + k.hop.address(), Cause: fmt.Errorf("the connection was lost: %w", cause),
	}
}

// keepAlive gives the connection up when nothing comes back for some time.
func (k *Conn) keepAlive() {
	answered := make(chan struct{}, 1)
	tick := time.NewTicker(k.c.KeepAlive)
	defer tick.Stop()
	missed, asking := 0, false
	for {
		select {
		case <-k.lost:
			return
		case <-answered:
			missed, asking = 0, false
		case <-tick.C:
			if !asking {
				asking = true
				go func() {
					// Any answer will do, also "unknown request".
					if _, _, err := k.client().SendRequest("keepalive@openssh.com", true, nil); err == nil {
						answered <- struct{}{}
					}
				}()
			} else if missed++; missed >= missedKeepAlives {
				k.end(fmt.Errorf("no answer to keepalives for %s", k.c.KeepAlive*missedKeepAlives))
				return
			}
		}
	}
}

// Dial opens a connection from the host.
func (k *Conn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := k.client().DialContext(ctx, network, address)
	if err == nil {
		return &tunnel{Conn: conn}, nil
	}
	select {
	case <-k.lost:
		return nil, k.gone()
	default:
	}
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		switch {
		case refused.Reason == ssh.Prohibited:
			return nil, &host.ForwardingError{Host: k.c.Name, Cause: err}
		case strings.Contains(strings.ToLower(refused.Message), "refused"):
			return nil, fmt.Errorf("%w (%w)", syscall.ECONNREFUSED, err)
		}
	}
	return nil, err
}
