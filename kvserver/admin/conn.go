package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// conn speaks gRPC's unary calls with one member over one HTTP/2 connection
// (the protocol is gRPC's doc/PROTOCOL-HTTP2.md). It is not grpc.ClientConn,
// for two reasons that count through a tunnel over half the world: that one
// waits for the server's settings before it sends its first request (a round
// trip more), and it keeps connecting in the background. This one connects at
// the first call, once, and again only at a call after the connection broke.
type conn struct {
	member, address string
	tls             *tls.Config
	plain           bool // dial's connections are TLS on the other side
	dial            func(ctx context.Context, member, network, address string) (net.Conn, error)

	turn   chan struct{} // holds one token: who has it may look at and replace what follows
	http   *http.ClientConn
	ear    *ear // what http runs on
	closed bool
}

// Invoke makes grpc's generated clients run on conn.
func (c *conn) Invoke(ctx context.Context, method string, in, out any, _ ...grpc.CallOption) error {
	request, ok := in.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", in)
	}
	answer, ok := out.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", out)
	}
	h, err := c.connected(ctx)
	if err != nil {
		return err
	}
	body, err := frame(request)
	if err != nil {
		return err
	}
	text, err := c.roundTrip(ctx, h, method, body)
	if err != nil {
		return err
	}
	return proto.Unmarshal(text, answer)
}

// NewStream is for calls that this client does not make.
func (c *conn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "this client makes no streaming calls")
}

// connected gives the connection, making it if there is none that works.
func (c *conn) connected(ctx context.Context) (*http.ClientConn, error) {
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, &UnreachableError{Member: c.member, Address: c.address, Cause: context.Cause(ctx)}
	}
	if c.closed {
		return nil, &UnreachableError{Member: c.member, Address: c.address, Cause: net.ErrClosed}
	}
	if c.http != nil {
		if c.http.Err() == nil {
			return c.http, nil
		}
		c.http.Close()
		c.http = nil
	}
	t, err := c.handshake(ctx)
	if err != nil {
		return nil, err
	}
	// HTTP/2 at once, without a look at what runs below it: that is TLS already.
	var h2 http.Protocols
	h2.SetUnencryptedHTTP2(true)
	h, err := (&http.Transport{
		DisableCompression: true,
		Protocols:          &h2,
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return t, nil },
	}).NewClientConn(ctx, "http", c.address)
	if err != nil {
		t.Close()
		return nil, &UnreachableError{Member: c.member, Address: c.address, Cause: err}
	}
	c.http, c.ear = h, t
	return h, nil
}

// handshake dials and agrees on TLS. With TLS 1.3 our side is done before the
// other has looked at our certificate; see [conn.broken].
func (c *conn) handshake(ctx context.Context) (*ear, error) {
	raw, err := c.dial(ctx, c.member, "tcp", c.address)
	if err != nil {
		return nil, &UnreachableError{Member: c.member, Address: c.address, Cause: err}
	}
	if c.plain {
		return &ear{Conn: raw}, nil
	}
	t := tls.Client(raw, c.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		raw.Close()
		if ctx.Err() != nil || !isTLS(err) {
			return nil, &UnreachableError{Member: c.member, Address: c.address, Cause: err, Accepted: true}
		}
		return nil, &RejectedError{Member: c.member, Address: c.address, Cause: err}
	}
	return &ear{Conn: t}, nil
}

// ear is a connection, TLS or plain, that remembers whether anything was heard on it.
type ear struct {
	net.Conn
	heard atomic.Bool
}

func (e *ear) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	if n > 0 {
		e.heard.Store(true)
	}
	return n, err
}

// largest bounds one answer; a member list or a page of keys is far below it.
const largest = 64 << 20

// roundTrip sends one framed message and gives the message that came back.
func (c *conn) roundTrip(ctx context.Context, h *http.ClientConn, method string, body []byte) ([]byte, error) {
	r := (&http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: "http", Host: c.address, Path: method},
		Host:   c.address,
		Header: http.Header{
			"Content-Type": {"application/grpc"},
			"Te":           {"trailers"},
			"User-Agent":   {"quorate"},
		},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}).WithContext(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		// The server gives up when we do. Eight digits are the most there is.
		if ms := time.Until(deadline).Milliseconds(); ms > 0 && ms < 1e8 {
			r.Header.Set("Grpc-Timeout", strconv.FormatInt(ms, 10)+"m")
		}
	}
	resp, err := h.RoundTrip(r)
	if err != nil {
		return nil, c.broken(ctx, h, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("member %q at %s does not answer as etcd does: %s", c.member, c.address, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, largest+1))
	if err != nil {
		return nil, c.broken(ctx, h, err)
	}
	if len(text) > largest {
		return nil, fmt.Errorf("member %q: the answer is larger than %d bytes", c.member, largest)
	}
	trailer := resp.Trailer
	if trailer.Get("Grpc-Status") == "" {
		trailer = resp.Header // an answer without a message has its status there
	}
	code, err := strconv.ParseUint(trailer.Get("Grpc-Status"), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("member %q at %s does not answer as etcd does: it gives no gRPC status", c.member, c.address)
	}
	if code := codes.Code(code); code != codes.OK {
		message, err := url.PathUnescape(trailer.Get("Grpc-Message"))
		if err != nil {
			message = trailer.Get("Grpc-Message")
		}
		return nil, c.answered(ctx, code, message)
	}
	return unframe(c.member, text)
}

// broken tells what a failed exchange was: our own ctx, a certificate of ours
// that the server refused, or the network. A refusal arrives after our side's
// handshake, and may get lost when our request crosses it: then what is left
// is a connection that broke before a word was heard, and a second look, which
// only listens, tells.
func (c *conn) broken(ctx context.Context, h *http.ClientConn, err error) error {
	if ctx.Err() != nil {
		return &UnreachableError{Member: c.member, Address: c.address, Cause: context.Cause(ctx), Sent: true}
	}
	if isTLS(err) {
		return &RejectedError{Member: c.member, Address: c.address, Cause: err}
	}
	if c.plain && strings.Contains(err.Error(), "remote error: tls") { // in the relay's words
		return &RejectedError{Member: c.member, Address: c.address, Cause: err}
	}
	if !c.plain && c.deaf(ctx, h) {
		if err := c.listen(ctx); err != nil {
			return err
		}
	}
	return &UnreachableError{Member: c.member, Address: c.address, Cause: err, Sent: true}
}

// deaf reports whether nothing was ever heard on h.
func (c *conn) deaf(ctx context.Context, h *http.ClientConn) bool {
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
		return c.http == h && !c.ear.heard.Load()
	case <-ctx.Done():
		return false
	}
}

// listen connects and says nothing. A server that refuses our certificate
// says so; one that takes it waits for us, which is nil here.
func (c *conn) listen(ctx context.Context) error {
	// Refusing takes the server no thought: it comes with its half of the handshake.
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, err := c.handshake(ctx)
	if err != nil {
		return nil // what broke before is the story
	}
	defer t.Close()
	defer context.AfterFunc(ctx, func() { t.Close() })()
	if _, err := t.Read(make([]byte, 1)); isTLS(err) {
		return &RejectedError{Member: c.member, Address: c.address, Cause: err}
	}
	return nil
}

// close ends the connection for good.
func (c *conn) close() error {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	c.closed = true
	if c.http == nil {
		return nil
	}
	return c.http.Close()
}

// frame is gRPC's: not compressed, four bytes of length, the message.
func frame(m proto.Message) ([]byte, error) {
	b, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 5, 5+proto.Size(m)), m)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(b[1:5], uint32(len(b)-5))
	return b, nil
}

func unframe(member string, b []byte) ([]byte, error) {
	if len(b) < 5 || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:5])) != uint64(len(b)-5) {
		return nil, fmt.Errorf("member %q: the answer is not one whole message", member)
	}
	return b[5:], nil
}

// isTLS reports whether an error is about certificates or the TLS protocol, on either side.
func isTLS(err error) bool {
	var remote *net.OpError // crypto/tls gives the other side's alert this form
	var verification *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	return errors.As(err, &remote) && remote.Op == "remote error" || errors.As(err, &verification) || errors.As(err, &header)
}
