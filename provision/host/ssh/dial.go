package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"quorate/provision/host"
	"quorate/provision/host/posix"
)

// The pauses between attempts to reach a host that is being born: soon at
// first, since a machine boots in seconds; never so often that a host which is
// up and refuses takes it for an attack.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 3 * time.Second
)

// New makes the host of a connection, which it takes over.
func New(c *Conn) *posix.Host {
	return posix.New(c, posix.Options{Name: c.c.Name, Now: c.c.Now})
}

// Dial connects and logs in, hop by hop. Refused and lost connections, and
// refused logins with keys, are repeated for Config.WaitForHost: a host being
// born does all of that. Never repeated are: a host key that is not accepted, a
// mistake in the configuration, and a login that sent a password, since
// repeating that locks accounts. The error is a *host.UnreachableError.
func Dial(ctx context.Context, c Config) (*Conn, error) {
	c = c.withDefaults()
	if c.Host == "" {
		return nil, &host.UnreachableError{Host: c.Name, Cause: errors.New("the connection names no host")}
	}
	hops, err := route(ctx, c)
	if err != nil {
		return nil, &host.UnreachableError{Host: c.Name, Address: c.Host, Cause: err}
	}
	d := &dialer{c: c, hops: hops}
	began, pause := c.Now(), firstPause
	for attempt := 1; ; attempt++ {
		conn, err := d.once(ctx)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, d.failed(ctx.Err())
		}
		left := c.WaitForHost - c.Now().Sub(began)
		if left <= 0 || !passing(err) {
			if attempt > 1 {
				err = &attemptError{cause: err, attempts: attempt, took: c.Now().Sub(began)}
			}
			return nil, d.failed(err)
		}
		if c.Retrying != nil {
			c.Retrying(attempt, err)
		}
		t := time.NewTimer(min(pause, left))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, d.failed(ctx.Err())
		case <-t.C:
		}
		pause = min(pause*3/2, lastPause)
	}
}

type attemptError struct {
	cause    error
	attempts int
	took     time.Duration
}

func (e *attemptError) Error() string {
	return fmt.Sprintf("%v (%d attempts in %s)", e.cause, e.attempts, e.took.Round(time.Second))
}
func (e *attemptError) Unwrap() error { return e.cause }

// stepError is one hop's failure.
type stepError struct {
	hop   hop
	last  bool
	cause error
	hint  string
	// passing: the failure may pass by itself.
	passing bool
}

func (e *stepError) Error() string {
	if e.last {
		return e.cause.Error()
	}
	return fmt.Sprintf("bastion %s@%s: %v", e.hop.user, e.hop.address(), e.cause)
}
func (e *stepError) Unwrap() error { return e.cause }

func passing(err error) bool {
	var step *stepError
	return errors.As(err, &step) && step.passing
}

type dialer struct {
	c    Config
	hops []hop
}

func (d *dialer) target() hop { return d.hops[len(d.hops)-1] }

func (d *dialer) failed(err error) error {
	out := &host.UnreachableError{Host: d.c.Name, Address: d.target().user + "@" + d.target().address(), Cause: err}
	var step *stepError
	if errors.As(err, &step) {
		out.Hint = step.hint
	}
	return out
}

// once makes one attempt over all hops.
func (d *dialer) once(ctx context.Context) (*Conn, error) {
	var clients []*ssh.Client // outermost first
	closeAll := func() {
		for i := len(clients) - 1; i >= 0; i-- {
			clients[i].Close()
		}
	}
	for i, h := range d.hops {
		dial := d.outermost
		if i > 0 {
			dial = clients[i-1].DialContext
		}
		client, err := d.step(ctx, h, i == len(d.hops)-1, dial)
		if err != nil {
			closeAll()
			return nil, err
		}
		clients = append(clients, client)
	}
	return newConn(d.c, d.target(), clients), nil
}

// outermost makes the connection that all others go through.
func (d *dialer) outermost(ctx context.Context, _, address string) (net.Conn, error) {
	h := d.hops[0]
	if d.c.Dialer != nil {
		return d.c.Dialer(ctx, h.network, address)
	}
	var from net.Dialer
	if h.bindAddress != "" {
		local, err := net.ResolveTCPAddr(h.network, net.JoinHostPort(h.bindAddress, "0"))
		if err != nil {
			return nil, err
		}
		from.LocalAddr = local
	}
	return from.DialContext(ctx, h.network, address)
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// step connects to and logs in at one hop. A host whose pinned fingerprint does
// not tell its kind of key is asked for each kind in turn.
func (d *dialer) step(ctx context.Context, h hop, last bool, dial dialFunc) (*ssh.Client, error) {
	fail := func(err error, hint string) error { return &stepError{hop: h, last: last, cause: err, hint: hint} }
	keys, err := newHostKeys(h)
	if err != nil {
		return nil, fail(err, "")
	}
	var first error
	revoked := false // says first
	for _, algorithms := range keys.kinds() {
		client, err := d.login(ctx, h, last, dial, keys, algorithms)
		if err == nil {
			return client, nil
		}
		var mismatch *hostKeyError
		isMismatch := errors.As(err, &mismatch)
		if !isMismatch && !strings.Contains(err.Error(), "no common algorithm for host key") {
			return nil, err
		}
		if first == nil || isMismatch && !revoked {
			first, revoked = err, isMismatch && mismatch.revoked
		}
	}
	return nil, first
}

func (d *dialer) login(ctx context.Context, h hop, last bool, dial dialFunc, keys *hostKeys, algorithms []string) (*ssh.Client, error) {
	attempt, cancel := context.WithTimeout(ctx, d.c.ConnectTimeout)
	defer cancel()
	step := &stepError{hop: h, last: last}
	conn, err := dial(attempt, "tcp", h.address())
	if err != nil {
		step.cause, step.passing = d.timed(ctx, attempt, err), transient(err)
		step.hint = forwardingHint(err, d.hops)
		return nil, step
	}
	// Neither the handshake nor a channel of a bastion knows contexts.
	stop := context.AfterFunc(attempt, func() { conn.Close() })
	creds := newCredentials(d.c, h)
	defer creds.close()
	var refused *hostKeyError
	config := &ssh.ClientConfig{
		Config: ssh.Config{Ciphers: h.ciphers, KeyExchanges: h.kexes, MACs: h.macs},
		User:   h.user, Auth: creds.methods(attempt), HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(name string, remote net.Addr, key ssh.PublicKey) error {
			err := keys.check(name, remote, key)
			errors.As(err, &refused)
			return err
		},
		ClientVersion: "SSH-2.0-quorate",
	}
	sshConn, channels, requests, err := ssh.NewClientConn(conn, h.knownName(), config)
	if err == nil && !stop() {
		sshConn.Close() // the time was over just then
		err = attempt.Err()
	}
	if err == nil {
		return ssh.NewClient(sshConn, channels, requests), nil
	}
	stop()
	conn.Close()
	step.cause = d.timed(ctx, attempt, err)
	switch text := strings.ToLower(err.Error()); {
	case refused != nil:
		step.cause, step.hint = refused, refused.hint
	case creds.fatal != nil:
		step.cause = creds.fatal
	case strings.Contains(text, "unable to authenticate") || strings.Contains(text, "too many authentication"):
		step.cause = fmt.Errorf("login as %q refused (%s)", h.user, creds.explain())
		step.hint = "Check user, identity_file and agent of the connection; the host's /var/log/auth.log or journalctl -u ssh says why."
		step.passing = !creds.password
	default:
		step.passing = !creds.password
	}
	return nil, step
}

// timed says "timed out" where an attempt's own limit ended it.
func (d *dialer) timed(ctx, attempt context.Context, err error) error {
	if attempt.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("no answer within %s (%w)", d.c.ConnectTimeout, err)
	}
	return err
}

// transient reports whether a connection that could not be made may be made
// later: all but a name that does not exist.
func transient(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return false
	}
	var prohibited *ssh.OpenChannelError
	return !errors.As(err, &prohibited) || prohibited.Reason != ssh.Prohibited
}

func forwardingHint(err error, hops []hop) string {
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) && refused.Reason == ssh.Prohibited && len(hops) > 1 {
		return "The bastion forbids forwarding: set AllowTcpForwarding yes in its sshd_config."
	}
	return ""
}
