// Package posix implements host.Host with POSIX sh scripts over a transport:
// whatever can run an argv on a machine and open a connection from there. The ssh and local packages are its transports.
//
// The scripts are constants, embedded in the binary. Data goes to their
// standard input, framed so that a request cut short does nothing; it is never
// spliced into shell text, and no content is ever in an argv. A script's answer
// that does not end as it should is an error.
//
// Nothing here retries, caches on disk, or prints.
package posix

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"quorate/provision/host"
)

// Transport carries argv and connections to one machine.
type Transport interface {
	// Exec runs argv with the rights the host is to be worked with (root's over
	// SSH), stdin nil being empty. exit is its code, -1 when a signal ended it; err
	// says that it could not be run, or that ctx or the connection ended.
	Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (exit int, err error)
	// Dial opens a connection from the machine.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Close ends the session.
	Close() error
}

// Near is a Transport that knows how far its machine is. A near one gets large files as they are: half of a
// binary takes a network of a gigabit a tenth of a second, and gzip on the host a quarter.
type Near interface{ Near() bool }

// Login is a Transport that knows what is special about the login: see [host.Facts].
type Login interface {
	Slow() string
	OneSession() bool
}

// Services stands in for systemd where units are something else.
type Services interface {
	// Manager is the word for Facts.Manager.
	Manager() string
	// State of each unit, by name; a unit that is not known has Loaded false.
	// known maps the stamps of executables to their digests.
	State(ctx context.Context, units []string, known map[string]string) (map[string]host.UnitState, error)
	// Service does what host.Host's does.
	Service(ctx context.Context, r host.ServiceRequest, known map[string]string) (host.UnitState, error)
}

// Options of a Host.
type Options struct {
	// Name of the host, for output and errors.
	Name string
	// Now is the operator's clock.
	Now func() time.Time
	// IgnoreOwners leaves owners and accounts alone: for a host without root's rights.
	IgnoreOwners bool
	// Services, if set, is asked in place of systemd.
	Services Services
	// Addresses, if set, lists the machine's addresses as Facts has them; else the script does.
	Addresses func() ([]string, error)
	// Lock, if set, takes the lock in place of the script.
	Lock func(ctx context.Context, r host.LockRequest) (func() error, error)
}

// Host is a host.Host over a Transport.
type Host struct {
	t Transport
	o Options

	mu     sync.Mutex
	known  map[string]string // digest by stamp, of executables seen in this session
	locks  map[*lock]bool
	held   host.LockRequest // the lock that this session holds; zero for none
	relays map[*relay]bool
	lost   error // why a lock was lost
	closed bool
}

var _ host.Host = (*Host)(nil)

// New makes a Host; it takes the transport over and closes it.
func New(t Transport, o Options) *Host {
	return &Host{t: t, o: o, known: map[string]string{}, locks: map[*lock]bool{}, relays: map[*relay]bool{}}
}

// Name implements host.Host.
func (h *Host) Name() string { return h.o.Name }

// Close implements host.Host: locks are released, relays end, then the transport is closed.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	locks, relays := slices.Collect(maps.Keys(h.locks)), slices.Collect(maps.Keys(h.relays))
	h.mu.Unlock()
	for _, r := range relays {
		r.cancel() // its reader learns that the command ended, not that it closed it
	}
	for _, l := range locks {
		_ = l.release() // closing the transport ends it anyway
	}
	return h.t.Close()
}

// DialContext implements host.Host.
func (h *Host) DialContext(ctx context.Context, network, address string) (c net.Conn, err error) {
	defer saying(&err, "cannot dial %s from host %q", address, h.o.Name)
	if err := h.open(); err != nil {
		return nil, err
	}
	return h.t.Dial(ctx, network, address)
}

// saying puts before an error what could not be done; those of a type of package host's own say it themselves.
func saying(err *error, format string, args ...any) {
	switch (*err).(type) {
	case nil, *host.LockedError, *host.ExitError, *host.ServiceError:
	default:
		*err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), *err)
	}
}

// open refuses work after Close.
func (h *Host) open() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errOver
	}
	return nil
}

var errOver = fmt.Errorf("the session is over: %w", net.ErrClosed)

// changing also refuses to change a host whose lock this session lost: somebody else may hold it by now.
func (h *Host) changing() error {
	if err := h.open(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost
}

func (h *Host) learn(stamp, digest string) {
	if !plain(stamp) || digest == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known[stamp] = digest
}

func (h *Host) knownDigests() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.known)
}
