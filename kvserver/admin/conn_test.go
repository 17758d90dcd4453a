package admin_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"quorate/kvserver"
	"quorate/kvserver/admin"
	"quorate/kvserver/servertest"
)

// A snapshot is a streaming call; its failures have the types of all calls.
func TestStream(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	c.Start()
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	defer cancel()
	a := c.Admin()
	for i := range 20 { // more than the windows hold
		if _, err := a.Put(ctx, "m1", strings.Repeat("k", i+1), strings.Repeat("v", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	conn := a.Conn("m1")
	snapshot := func(ctx context.Context) (pb.Maintenance_SnapshotClient, *pb.SnapshotResponse) {
		s, err := pb.NewMaintenanceClient(conn).Snapshot(ctx, &pb.SnapshotRequest{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return s, r
	}

	s, r := snapshot(ctx)
	var db bytes.Buffer
	var err error
	for err == nil {
		db.Write(r.Blob)
		r, err = s.Recv()
	}
	if err != io.EOF || db.Len() < 20<<20 {
		t.Errorf("%d bytes, then %v", db.Len(), err)
	}

	short, stop := context.WithCancel(ctx)
	s, _ = snapshot(short)
	stop()
	var unreachable *admin.UnreachableError
	if err := drain(s); !errors.Is(err, context.Canceled) || !errors.As(err, &unreachable) || !unreachable.Sent {
		t.Errorf("cancelled: %T %v", err, err)
	}
	s, _ = snapshot(ctx)
	c.Members[0].Kill()
	if err := drain(s); !errors.As(err, &unreachable) || !unreachable.Sent {
		t.Errorf("killed: %T %v", err, err)
	}
}

// drain reads to the end and gives what it ended with.
func drain(s pb.Maintenance_SnapshotClient) error {
	for {
		if _, err := s.Recv(); err != nil {
			return err
		}
	}
}

// A call makes one attempt to connect, at most, and says at once how it went;
// nobody else connects.
func TestAttempts(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	c.Start()
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	defer cancel()
	var dials atomic.Int32
	a := admin.New(admin.Config{Members: c.Endpoints(), TLS: c.TLS(), Dial: func(ctx context.Context, _, network, address string) (net.Conn, error) {
		dials.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}})
	defer a.Close()
	if err := a.Health(ctx, "m1"); err != nil {
		t.Fatal(err)
	}
	c.Members[0].Kill()
	servertest.Until(t, "the end of the connection", func(ctx context.Context) error {
		err := a.Health(ctx, "m1")
		if errors.Is(err, kvserver.ErrDead) {
			return nil
		}
		return err
	})
	before := dials.Load()
	for range 5 {
		if err := a.Health(ctx, "m1"); !errors.Is(err, kvserver.ErrDead) {
			t.Errorf("%T %v", errors.Unwrap(err), err)
		}
	}
	if n := dials.Load() - before; n != 5 {
		t.Errorf("5 calls dialled %d times", n)
	}
	c.Members[0].Start()
	c.Members[0].WaitReady()
	if err := a.Health(ctx, "m1"); err != nil {
		t.Errorf("the first call to a member that is back: %v", err)
	}
	before = dials.Load()
	a.Close()
	if err := a.Health(ctx, "m1"); !errors.Is(err, net.ErrClosed) || dials.Load() != before {
		t.Errorf("after Close: %v, dialled %d times", err, dials.Load()-before)
	}
}

// What speaks TLS in our place passes on what was refused, in words.
func TestPlain(t *testing.T) {
	t.Parallel()
	c, stranger := servertest.New(t, 1), servertest.New(t, 1)
	c.Start()
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	defer cancel()
	health := func(certificates []tls.Certificate) error {
		config := c.TLS()
		config.Certificates, config.NextProtos = certificates, []string{"h2"}
		a := admin.New(admin.Config{Members: c.Endpoints(), Plain: true, Dial: func(ctx context.Context, _, network, address string) (net.Conn, error) {
			return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
		}})
		defer a.Close()
		return a.Health(ctx, "m1")
	}
	if err := health(c.TLS().Certificates); err != nil {
		t.Error(err)
	}
	if err := health(stranger.TLS().Certificates); !errors.Is(err, kvserver.ErrRefused) {
		t.Errorf("%v", err)
	}
}
