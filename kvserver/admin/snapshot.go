package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// SnapshotStall is how long a snapshot may stand still: the member begins once it has a read
// transaction of its database, and sends 32 kB at a time from then on. The whole has no time limit.
const SnapshotStall = 5 * time.Minute

// Snapshot streams the database of one member to w, as it is at one moment,
// with the SHA-256 of all that at its end (of etcd 3.4 and newer). It is the state that the member
// has applied. Memory does not depend on its size. progress, which may be nil, hears
// of the bytes got and of all. Nobody has verified what w got.
func (c *Client) Snapshot(ctx context.Context, name string, w io.Writer, progress func(got, all int64)) (err error) {
	conn := c.conns[name]
	if conn == nil {
		return fmt.Errorf("cannot ask member %q: it is not among the endpoints", name)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(SnapshotStall, func() { cancel(fmt.Errorf("nothing came for %s", SnapshotStall)) })
	defer stalled.Stop()
	s, err := pb.NewMaintenanceClient(conn).Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		return fmt.Errorf("cannot take a snapshot: %w", err)
	}
	var got int64
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot take a snapshot: %w", err)
		}
		stalled.Reset(SnapshotStall)
		if _, err := w.Write(r.Blob); err != nil {
			return err
		}
		got += int64(len(r.Blob))
		if progress != nil {
			progress(got, got+int64(r.RemainingBytes))
		}
	}
}
