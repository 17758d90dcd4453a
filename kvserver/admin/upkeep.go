package admin

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"quorate/kvserver"
)

// Compact drops the history before a revision, on all members, and returns once the member that is asked has deleted
// what that frees; the others go on with it by themselves. The revision itself can be read still. One that is
// compacted already is [kvserver.ErrCompacted], which comes once that member has deleted what earlier compactions freed
// (compactBarrier in storage/mvcc/kvstore.go): so asking the others for the same waits for each of them. etcd bounds the
// agreement, not the deleting: about a thousand keys every 10 ms, see batch limit and interval in storage/mvcc/kvstore_compaction.go.
func (c *Client) Compact(ctx context.Context, via string, revision int64) error {
	_, err := call(ctx, c, via, fmt.Sprintf("compact up to revision %d", revision), pb.NewKVClient, pb.KVClient.Compact, &pb.CompactionRequest{Revision: revision, Physical: true})
	return err
}

// Compacted is the revision up to which the keys are compacted; 0 where history goes back to the first one. With etcd's
// authentication on it wants the right to read the key "health", as [Client.Health] does.
func (c *Client) Compacted(ctx context.Context, via string) (int64, error) {
	const key = "health"
	_, err := call(ctx, c, via, "read the oldest revision", pb.NewKVClient, pb.KVClient.Range, &pb.RangeRequest{Key: []byte(key), Revision: 1, CountOnly: true})
	if !errors.Is(err, kvserver.ErrCompacted) {
		return 0, err
	}
	// Whoever watches from a revision that is gone is told which is the first that is left.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewWatchClient(c.conns[via]).Watch(ctx)
	if err == nil {
		err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte(key), StartRevision: 1}}})
	}
	for err == nil {
		var r *pb.WatchResponse
		switch r, err = stream.Recv(); {
		case err != nil:
		case r.CompactRevision > 0:
			return r.CompactRevision, nil
		case r.Canceled:
			err = fmt.Errorf("member %q: %s", via, r.CancelReason)
		}
	}
	return 0, fmt.Errorf("cannot ask how far the keys are compacted: %w", err)
}

// Defragment has one member write its database anew without the free space in it, beside the old one, which needs the room
// for both. Meanwhile it applies nothing and answers no reads. The end of ctx ends the waiting, not the work. A
// learner refuses ([kvserver.ErrIsLearner]).
func (c *Client) Defragment(ctx context.Context, name string) error {
	_, err := call(ctx, c, name, "defragment", pb.NewMaintenanceClient, pb.MaintenanceClient.Defragment, &pb.DefragmentRequest{})
	return err
}

// Alarms lists the alarms of the whole cluster, as a quorum sees them.
func (c *Client) Alarms(ctx context.Context, via string) ([]kvserver.Alarm, error) {
	r, err := call(ctx, c, via, "list the alarms", pb.NewMaintenanceClient, pb.MaintenanceClient.Alarm, &pb.AlarmRequest{Action: pb.AlarmRequest_GET})
	if err != nil {
		return nil, err
	}
	var out []kvserver.Alarm
	for _, a := range r.Alarms {
		out = append(out, kvserver.Alarm{Member: a.MemberID, Kind: a.Alarm.String()})
	}
	return out, nil
}

// Disarm ends an alarm, through any member. One that does not stand is none to end. etcd does not look whether its cause
// is gone.
func (c *Client) Disarm(ctx context.Context, via string, a kvserver.Alarm) error {
	kind, ok := pb.AlarmType_value[a.Kind]
	if !ok || kind == 0 {
		return fmt.Errorf("cannot disarm %q: etcd knows no such alarm", a.Kind)
	}
	_, err := call(ctx, c, via, fmt.Sprintf("disarm %s of member %x", a.Kind, a.Member), pb.NewMaintenanceClient, pb.MaintenanceClient.Alarm,
		&pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: a.Member, Alarm: pb.AlarmType(kind)})
	return err
}

// trialTTL is how long the lease of a write on trial lives where it cannot be revoked, in seconds.
const trialTTL = 60

// TryWrite is nil if a write through that member is taken: it grants a lease, without a key, and revokes it. etcd holds a
// lease against the quota as it does a put (quotaLeaseServer in etcdserver/api/v3rpc/quota.go), and the alarm
// NOSPACE refuses it ([kvserver.ErrNoSpace]); no key and no revision comes of it.
func (c *Client) TryWrite(ctx context.Context, via string) error {
	r, err := call(ctx, c, via, "write a lease", pb.NewLeaseClient, pb.LeaseClient.LeaseGrant, &pb.LeaseGrantRequest{TTL: trialTTL})
	if err != nil {
		return err
	}
	_, err = call(ctx, c, via, "revoke a lease", pb.NewLeaseClient, pb.LeaseClient.LeaseRevoke, &pb.LeaseRevokeRequest{ID: r.ID})
	return err
}
