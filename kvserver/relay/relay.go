// Package relay lends the host's own client certificate to whoever is logged in
// there: what comes in on standard input goes over TLS to this host's member,
// and its answers come out. The caller speaks plain HTTP/2 (gRPC); keys stay
// where they are, and the host's SSH server need not forward anything.
//
// It gives no rights that its user has not: the key must be readable. It
// connects to nothing but an address of this host.
package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Options of one relay.
type Options struct {
	// Address is the member's, "HOST:PORT". HOST is also the name that its
	// certificate has to carry.
	Address string
	// Cert and Key are the client certificate to use, both or neither; CA is
	// what the member's certificate has to come from.
	Cert, Key, CA string
	// Raw passes the bytes on as they are: the caller speaks TLS itself, with a certificate of its own. It
	// is for hosts whose SSH server forbids forwarding; Cert, Key and CA do not count.
	Raw bool
	// Idle is how long nothing may be heard from either side; 0 is [DefaultIdle].
	Idle time.Duration

	In  io.Reader
	Out io.Writer
}

const (
	// DefaultIdle: whoever waits longer for an answer of its own member has lost the connection to this host.
	DefaultIdle = 2 * time.Minute
	// dialWait is for a member on this very host.
	dialWait = 5 * time.Second
	// drainWait is for answers under way when the caller has ended; HTTP/2 has none by then.
	drainWait = time.Second
)

// Run relays until In ends or the member closes the connection, which is no
// error, or until nothing was heard for the idle time. It may leave a read of
// In behind, so it belongs at the end of a process.
func Run(ctx context.Context, o Options) error {
	conn, err := dial(ctx, o)
	if err != nil {
		return err
	}
	defer conn.Close()
	idle := cmp.Or(o.Idle, DefaultIdle)
	l := &line{conn: conn, idle: idle}
	l.heard()
	sent := make(chan error, 1)
	received := make(chan error, 1)
	go func() { sent <- l.send(o.In) }()
	go func() { received <- l.receive(o.Out) }()
	select {
	case err := <-sent:
		if err != nil {
			return fmt.Errorf("cannot send to the member at %s: %w", o.Address, err)
		}
		return <-received
	case err := <-received:
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("nothing was heard for %s: the relay to the member at %s ends", idle, o.Address)
		}
		if err != nil {
			return fmt.Errorf("the member at %s ended the connection: %w", o.Address, err)
		}
		return nil
	}
}

// line is one connection, with its idle time.
type line struct {
	conn stream
	idle time.Duration

	mu    sync.Mutex
	ended bool // In has; the deadline is the last one
}

// stream is a connection whose sending side can be closed: TCP, or TLS on it.
type stream interface {
	net.Conn
	CloseWrite() error
}

func (l *line) heard() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		_ = l.conn.SetReadDeadline(time.Now().Add(l.idle))
	}
}

func (l *line) send(in io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			l.heard()
			_ = l.conn.SetWriteDeadline(time.Now().Add(l.idle))
			if _, err := l.conn.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil { // its end, or the caller is gone
			l.mu.Lock()
			l.ended = true
			_ = l.conn.SetReadDeadline(time.Now().Add(drainWait))
			l.mu.Unlock()
			_ = l.conn.CloseWrite()
			return nil
		}
	}
}

func (l *line) receive(out io.Writer) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := l.conn.Read(buf)
		if n > 0 {
			l.heard()
			if _, err := out.Write(buf[:n]); err != nil {
				return fmt.Errorf("cannot pass its answer on: %w", err)
			}
		}
		l.mu.Lock()
		ended := l.ended
		l.mu.Unlock()
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), ended:
			return nil
		default:
			return err
		}
	}
}

// dial connects to the member, and has shown who it is.
func dial(ctx context.Context, o Options) (stream, error) {
	fail := func(err error) (stream, error) {
		return nil, fmt.Errorf("cannot relay to the member at %q: %w", o.Address, err)
	}
	host, port, err := net.SplitHostPort(o.Address)
	if err != nil {
		return fail(err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || host == "" {
		return fail(errors.New("it has to be HOST:PORT"))
	}
	var config *tls.Config
	if !o.Raw {
		if config, err = configuration(o, host); err != nil {
			return fail(err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	addresses, err := ours(ctx, host)
	if err != nil {
		return fail(err)
	}
	var raw net.Conn
	for _, a := range addresses {
		if raw, err = new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(a, uint16(number)).String()); err == nil {
			break
		}
	}
	if err != nil {
		return fail(err)
	}
	if o.Raw {
		return raw.(*net.TCPConn), nil
	}
	conn := tls.Client(raw, config)
	err = conn.HandshakeContext(ctx)
	if err == nil && conn.ConnectionState().NegotiatedProtocol != "h2" {
		err = errors.New("what answers there does not speak HTTP/2")
	}
	if err != nil {
		raw.Close()
		return fail(err)
	}
	return conn, nil
}

func configuration(o Options, host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
	text, err := os.ReadFile(o.CA)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", o.CA)
	}
	if o.Cert == "" && o.Key == "" {
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %q with key %q: %w", o.Cert, o.Key, err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// ours are those addresses of a host's name (or the one that it is) that this
// machine has; none is an error.
func ours(ctx context.Context, host string) ([]netip.Addr, error) {
	var all []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		all = []netip.Addr{a}
	} else if all, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil, err
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var here []netip.Addr
	for _, i := range interfaces {
		if p, err := netip.ParsePrefix(i.String()); err == nil {
			here = append(here, p.Addr().Unmap())
		}
	}
	var out []netip.Addr
	for _, a := range all {
		a = a.Unmap()
		if a.IsLoopback() || slices.Contains(here, a.WithZone("")) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("that is no address of this host, and it relays to its own member only")
	}
	return out, nil
}
