package admin

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

const (
	// largest bounds one message; a member list or a page of keys is far below it.
	largest = 16 << 20
	// window is what a member may send ahead of us: enough for a snapshot from
	// far away, and memory only while it is under way.
	window = 4 << 20
	// buffer holds a request on its way out. There is none for what comes in: TLS and SSH have theirs.
	buffer = 4 << 10
)

// messages are the buffers that gRPC reads messages into, by size. Its own have none between 32 KiB and 1 MiB, and each is cleared before
// it is used again: a snapshot's messages are 32 KiB and some bytes.
var messages = must(mem.NewBinaryTieredBufferPool(8, 12, 14, 15, 16, 18, 20))

func must(p mem.BufferPool, err error) mem.BufferPool {
	if err != nil {
		panic(err)
	}
	return p
}

// channel is gRPC's client on one connection that is there already. It never makes another one.
type channel struct {
	*grpc.ClientConn
	wire *wire
}

// newChannel begins HTTP/2 on w, and closes w if that fails.
func newChannel(ctx context.Context, address string, w *wire, secure bool) (*channel, error) {
	var given atomic.Bool
	cc, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if given.Swap(true) {
				return nil, net.ErrClosed
			}
			return w, nil
		}),
		grpc.WithTransportCredentials(agreed{insecure.NewCredentials(), secure}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largest)),
		grpc.WithStatsHandler(watcher{}),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		experimental.WithBufferPool(messages), grpc.WithReadBufferSize(0), grpc.WithWriteBufferSize(buffer),
		grpc.WithDisableServiceConfig(), grpc.WithDisableHealthCheck(), grpc.WithDisableRetry(),
		grpc.WithNoProxy(), grpc.WithIdleTimeout(0), grpc.WithUserAgent("quorate"),
	)
	if err != nil {
		w.Close()
		return nil, err
	}
	ch := &channel{cc, w}
	for {
		state := cc.GetState()
		switch state {
		case connectivity.Ready:
			return ch, nil
		case connectivity.Idle: // before the first attempt, or again after the connection broke
			cc.Connect()
		case connectivity.TransientFailure:
			err = w.failed()
			if err == nil || errors.Is(err, net.ErrClosed) {
				err = errors.New("what it sends is not HTTP/2")
			}
		}
		if err == nil && !cc.WaitForStateChange(ctx, state) {
			err = context.Cause(ctx)
		}
		if err != nil {
			cc.Close()
			w.Close()
			return nil, err
		}
	}
}

// ended is why the connection takes no more calls, and nil while it does.
func (ch *channel) ended() error {
	if err := ch.wire.failed(); err != nil {
		return err
	}
	if ch.GetState() != connectivity.Ready {
		return errors.New("it ends the connection")
	}
	return nil
}

// agreed are the credentials of a connection on which TLS was agreed before gRPC got it.
type agreed struct {
	credentials.TransportCredentials
	secure bool
}

// Info makes the scheme of requests "https", without which etcd does not look at our certificate's name.
func (a agreed) Info() credentials.ProtocolInfo {
	info := a.TransportCredentials.Info()
	if a.secure {
		info.SecurityProtocol = "tls"
	}
	return info
}

// wire is a connection, TLS or plain, of which the beginning was read, and that knows how it ended.
type wire struct {
	net.Conn
	first []byte
	end   atomic.Pointer[error]
}

// Read gives what was read before, then what comes.
func (w *wire) Read(b []byte) (int, error) {
	if len(w.first) > 0 {
		n := copy(b, w.first)
		w.first = w.first[n:]
		return n, nil
	}
	n, err := w.Conn.Read(b)
	if err != nil {
		w.end.CompareAndSwap(nil, &err)
	}
	return n, err
}

// Close ends the connection.
func (w *wire) Close() error {
	err := net.ErrClosed
	w.end.CompareAndSwap(nil, &err)
	return w.Conn.Close()
}

// failed is what the connection ended with, nil before.
func (w *wire) failed() error {
	if err := w.end.Load(); err != nil {
		return *err
	}
	return nil
}
