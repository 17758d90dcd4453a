package admin

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// stream gives the errors of a streaming call the types of this package.
type stream struct {
	grpc.ClientStream
	failure func(error) error
}

func (s *stream) Header() (metadata.MD, error) {
	md, err := s.ClientStream.Header()
	return md, s.failure(err)
}
func (s *stream) CloseSend() error      { return s.failure(s.ClientStream.CloseSend()) }
func (s *stream) SendMsg(m any) error   { return s.failure(s.ClientStream.SendMsg(m)) }
func (s *stream) RecvMsg(out any) error { return s.failure(s.ClientStream.RecvMsg(out)) }

// watcher notes for the calls of [watch] that the member ended the call. A
// status does not say whether it came from there or from gRPC on our side.
type watcher struct{}

type watchKey struct{}

// watch gives the context for one call, and what is set once the member has answered it.
func watch(ctx context.Context) (context.Context, *atomic.Bool) {
	answered := new(atomic.Bool)
	return context.WithValue(ctx, watchKey{}, answered), answered
}

func (watcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.InTrailer); ok {
		if answered, ok := ctx.Value(watchKey{}).(*atomic.Bool); ok {
			answered.Store(true)
		}
	}
}
func (watcher) HandleConn(context.Context, stats.ConnStats)                       {}
func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
