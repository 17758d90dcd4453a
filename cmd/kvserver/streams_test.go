package main

import (
	"context"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	etcd "go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"

	"quorate/kvserver/servertest"
)

// Who watches, or keeps a lease alive, is told by a member that it stops, and need not be waited for until etcd's patience
// ends and the connection breaks.
func TestStopEndsStreams(t *testing.T) {
	t.Parallel()
	c := clusterOf(t, release{version: etcd.Version}, 1, nil)
	c.Start()
	cl := client(t, c, c.Members...)
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	defer cancel()
	if _, err := cl.Put(ctx, "/key", "value"); err != nil { // connected
		t.Fatal(err)
	}
	lease, err := cl.Grant(ctx, 60)
	if err != nil {
		t.Fatal(err)
	}
	watch, err := pb.NewWatchClient(cl.ActiveConnection()).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = watch.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("/key")}}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := watch.Recv(); err != nil || !r.Created {
		t.Fatal(r, err)
	}
	keep, err := pb.NewLeaseClient(cl.ActiveConnection()).LeaseKeepAlive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := keep.Send(&pb.LeaseKeepAliveRequest{ID: int64(lease.ID)}); err != nil {
		t.Fatal(err)
	}
	if _, err := keep.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := c.Members[0].Stop(); err != nil {
		t.Error(err)
	}
	if _, err := watch.Recv(); rpctypes.Error(err) != rpctypes.ErrStopped {
		t.Errorf("the watch ended with %v", err)
	}
	if _, err := keep.Recv(); rpctypes.Error(err) != rpctypes.ErrStopped {
		t.Errorf("the keepalive ended with %v", err)
	}
}

// A client's watch goes on at another member, and nothing is missing, whichever stops.
func TestWatchOutlivesAStop(t *testing.T) {
	t.Parallel()
	c := clusterOf(t, release{version: etcd.Version}, 3, nil)
	c.Start()
	cl := client(t, c, c.Members...)
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	defer cancel()
	watch := cl.Watch(clientv3.WithRequireLeader(ctx), "/key", clientv3.WithCreatedNotify())
	if r := <-watch; !r.Created {
		t.Fatal(r)
	}
	for i, m := range c.Members {
		if err := m.Stop(); err != nil {
			t.Fatal(err)
		}
		value := fmt.Sprint(i)
		servertest.Until(t, "a write", func(ctx context.Context) error {
			_, err := cl.Put(ctx, "/key", value)
			return err
		})
		for seen := false; !seen; {
			r, open := <-watch
			if !open || r.Err() != nil {
				t.Fatalf("with %s stopped the watch ended: %v", m.Name, r.Err())
			}
			for _, e := range r.Events {
				seen = seen || string(e.Kv.Value) == value
			}
		}
		m.Start()
		m.WaitReady()
	}
}
