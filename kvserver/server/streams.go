package server

import (
	"context"

	"google.golang.org/grpc"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/embed"
)

// streams ends what clients leave open, watches and keepalives of leases, when this member is about to stop. etcd
// waits for them to end by themselves, which they never do: its request timeout (7 s) for each of its client listeners, one after the other. So with two
// listeners and one API server that watches a stop takes 15 s, and one second without it.
//
// Who watches is told what a server says that stops (Unavailable); etcd's client then goes on at another member, from where it was.
type streams struct {
	stopping context.Context
	stop     context.CancelFunc
}

// endable has the streams of clients end with what it gives.
func endable(cfg *embed.Config) *streams {
	s := new(streams)
	s.stopping, s.stop = context.WithCancel(context.Background())
	cfg.GRPCAdditionalServerOptions = append(cfg.GRPCAdditionalServerOptions, grpc.ChainStreamInterceptor(s.intercept))
	return s
}

// open are the methods that have no end of their own; a snapshot, which has one, is waited for.
func open(method string) bool {
	return method == "/etcdserverpb.Watch/Watch" || method == "/etcdserverpb.Lease/LeaseKeepAlive"
}

func (s *streams) intercept(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if !open(info.FullMethod) {
		return handle(srv, stream)
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	err := handle(srv, within{stream, ctx})
	if s.stopping.Err() != nil {
		return rpctypes.ErrGRPCStopped
	}
	return err
}

// within is a stream that ends with a context.
type within struct {
	grpc.ServerStream
	ctx context.Context
}

func (w within) Context() context.Context { return w.ctx }
