package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// conn runs gRPC calls on one connection to one member, and is what etcd's
// generated clients take ([grpc.ClientConnInterface]). It connects at the first
// call, once, and again only at a call after the connection broke.
type conn struct {
	member, address string
	tls             *tls.Config
	plain           bool // dial's connections are TLS on the other side
	dial            func(ctx context.Context, member, network, address string) (net.Conn, error)

	turn   chan struct{} // holds one token: who has it may look at and replace what follows
	open   *channel      // nil before the first call
	closed bool
}

// Invoke runs a call with one request and one answer.
func (c *conn) Invoke(ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
	ch, err := c.connected(ctx)
	if err != nil {
		return err
	}
	ctx, answered := watch(ctx)
	return c.failure(ctx, ch, answered, ch.Invoke(ctx, method, in, out, opts...))
}

// NewStream begins a streaming call. The errors of its stream are those of
// Invoke, and [io.EOF] as gRPC has it.
func (c *conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ch, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	ctx, answered := watch(ctx)
	failure := func(err error) error { return c.failure(ctx, ch, answered, err) }
	s, err := ch.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, failure(err)
	}
	return &stream{s, failure}, nil
}

// connected gives the connection, making it if there is none that works. It
// makes one attempt; when it fails, nothing was sent.
func (c *conn) connected(ctx context.Context) (*channel, error) {
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, &UnreachableError{Member: c.member, Address: c.address, Cause: context.Cause(ctx)}
	}
	if c.closed {
		return nil, &UnreachableError{Member: c.member, Address: c.address, Cause: net.ErrClosed}
	}
	if c.open != nil {
		if c.open.ended() == nil {
			return c.open, nil
		}
		c.open.Close()
		c.open = nil
	}
	w, err := c.handshake(ctx)
	if err != nil {
		return nil, err
	}
	ch, err := newChannel(ctx, c.address, w, !c.plain)
	if err != nil {
		return nil, c.lost(ctx, err, UnreachableError{Accepted: true})
	}
	c.open = ch
	return ch, nil
}

// handshake dials, agrees on TLS and waits for the first byte of the server,
// which begins HTTP/2 by itself. With TLS 1.3 our side of the handshake is done
// before the other has looked at our certificate: its refusal comes instead of
// that byte, and could get lost if we had sent something meanwhile.
func (c *conn) handshake(ctx context.Context) (*wire, error) {
	raw, err := c.dial(ctx, c.member, "tcp", c.address)
	if err != nil {
		return nil, &UnreachableError{Member: c.member, Address: c.address, Cause: err}
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	w := &wire{Conn: raw, first: make([]byte, 1)}
	if !c.plain {
		t := tls.Client(raw, c.tls)
		w.Conn = t
		if err = t.HandshakeContext(ctx); err == nil && t.ConnectionState().NegotiatedProtocol != "h2" {
			err = errors.New("it does not offer HTTP/2")
		}
	}
	if err == nil {
		_, err = io.ReadFull(w.Conn, w.first)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		return nil, c.lost(ctx, err, UnreachableError{Accepted: true})
	}
	return w, nil
}

// lost names the end of a connection: our own ctx, TLS on either side, or the network, as u says.
func (c *conn) lost(ctx context.Context, err error, u UnreachableError) error {
	refused := isTLS(err) || c.plain && strings.Contains(err.Error(), "remote error: tls") // in the relay's words
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if refused {
		return &RejectedError{Member: c.member, Address: c.address, Cause: err}
	}
	u.Member, u.Address, u.Cause = c.member, c.address, err
	return &u
}

// failure gives what gRPC says of a call the types of this package. A deadline
// of ours may be noticed by the server first, since it travels with the
// request; it is ours all the same.
func (c *conn) failure(ctx context.Context, ch *channel, answered *atomic.Bool, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	const travel = 100 * time.Millisecond // how much earlier the server's clock may end it
	s := status.Convert(err)
	deadline, bounded := ctx.Deadline()
	switch broken := ch.ended(); {
	case ctx.Err() != nil:
		return c.lost(ctx, err, UnreachableError{Sent: true})
	case bounded && s.Code() == codes.DeadlineExceeded && time.Until(deadline) < travel:
		return c.lost(ctx, context.DeadlineExceeded, UnreachableError{Sent: true})
	case answered.Load():
		return &AnswerError{Member: c.member, Code: s.Code(), Message: s.Message()}
	case broken != nil:
		return c.lost(ctx, broken, UnreachableError{Sent: true})
	}
	return fmt.Errorf("member %q at %s does not answer as etcd does: %s", c.member, c.address, s.Message())
}

// close ends the connection for good.
func (c *conn) close() error {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	c.closed = true
	if c.open == nil {
		return nil
	}
	return c.open.Close()
}

// isTLS reports whether an error is about certificates or the TLS protocol, on either side.
func isTLS(err error) bool {
	var remote *net.OpError // crypto/tls gives the other side's alert this form
	var verification *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	return errors.As(err, &remote) && remote.Op == "remote error" || errors.As(err, &verification) || errors.As(err, &header)
}
