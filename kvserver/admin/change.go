package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"

	"quorate/kvserver"
)

// AddLearner adds a learner with these peer URLs and returns it with all
// members as they are then. Asked through one voter. etcd makes the id of the peer URLs and the second
// (computeMemberID in api/membership/member.go): for the rest of the second in which one with these URLs was added and
// removed again, the answer is [kvserver.ErrMemberNotFound].
func (c *Client) AddLearner(ctx context.Context, via string, peerURLs []string) (kvserver.Member, []kvserver.Member, error) {
	r, err := call(ctx, c, via, fmt.Sprintf("add learner %v", peerURLs), pb.NewClusterClient, pb.ClusterClient.MemberAdd, &pb.MemberAddRequest{PeerURLs: peerURLs, IsLearner: true})
	if err != nil {
		return kvserver.Member{}, nil, err
	}
	return member(r.Member), memberList(r.Members), nil
}

// Promote makes a learner a voter; [kvserver.ErrLearnerNotReady] until it has caught up. One that had caught up and has died since
// is promoted all the same: that it is there is the caller's to see to.
func (c *Client) Promote(ctx context.Context, via string, id uint64) ([]kvserver.Member, error) {
	r, err := call(ctx, c, via, fmt.Sprintf("promote member %x", id), pb.NewClusterClient, pb.ClusterClient.MemberPromote, &pb.MemberPromoteRequest{ID: id})
	if err != nil {
		return nil, err
	}
	return memberList(r.Members), nil
}

// Remove takes a member out of the cluster for ever: it can only come back under another id with an empty data directory.
func (c *Client) Remove(ctx context.Context, via string, id uint64) ([]kvserver.Member, error) {
	r, err := call(ctx, c, via, fmt.Sprintf("remove member %x", id), pb.NewClusterClient, pb.ClusterClient.MemberRemove, &pb.MemberRemoveRequest{ID: id})
	if err != nil {
		return nil, err
	}
	return memberList(r.Members), nil
}

// Update gives a member other peer URLs, all of them anew; the member keeps its id. etcd guards it by
// nothing but [kvserver.ErrPeerURLExists]: with wrong URLs the others no longer reach it.
func (c *Client) Update(ctx context.Context, via string, id uint64, peerURLs []string) ([]kvserver.Member, error) {
	r, err := call(ctx, c, via, fmt.Sprintf("give member %x the peer URLs %v", id, peerURLs), pb.NewClusterClient, pb.ClusterClient.MemberUpdate, &pb.MemberUpdateRequest{ID: id, PeerURLs: peerURLs})
	if err != nil {
		return nil, err
	}
	return memberList(r.Members), nil
}

// HashKV asks one member for the hash up to a revision; 0 is its newest one. It
// reads all keys of the member's database, and that member applies no writes
// meanwhile. A revision that the member has compacted is [kvserver.ErrCompacted].
// One at which it has compacted may be answered from memory, with the hash and the
// compact revision of that moment (storage/mvcc/hash.go, since 3.5.5); 0 never is.
func (c *Client) HashKV(ctx context.Context, name string, revision int64) (kvserver.Hash, error) {
	r, err := call(ctx, c, name, "hash the keys", pb.NewMaintenanceClient, pb.MaintenanceClient.HashKV, &pb.HashKVRequest{Revision: revision})
	if err != nil {
		return kvserver.Hash{}, err
	}
	// Before 3.6 the answer does not say up to which revision; the header has the newest one.
	return kvserver.Hash{Hash: r.Hash, Revision: cmp.Or(r.HashRevision, revision, r.GetHeader().GetRevision()), CompactRevision: r.CompactRevision}, nil
}

// Put writes a key through one member and returns the revision.
func (c *Client) Put(ctx context.Context, via, key, value string) (int64, error) {
	r, err := call(ctx, c, via, fmt.Sprintf("put %q", key), pb.NewKVClient, pb.KVClient.Put, &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
	if err != nil {
		return 0, err
	}
	return r.Header.Revision, nil
}

// Get reads a key through one member, linearizably; ok is false if there is no such key.
func (c *Client) Get(ctx context.Context, via, key string) (value string, ok bool, err error) {
	r, err := call(ctx, c, via, fmt.Sprintf("get %q", key), pb.NewKVClient, pb.KVClient.Range, &pb.RangeRequest{Key: []byte(key)})
	if err != nil || len(r.Kvs) == 0 {
		return "", false, err
	}
	return string(r.Kvs[0].Value), true, nil
}

// alarmText is how a status names an alarm: the text form of an AlarmMember,
// whose spacing protobuf varies on purpose.
var alarmText = regexp.MustCompile(`^memberID:\s*(\d+)\s+alarm:\s*([A-Z]+)\s*$`)

func statusOf(r *pb.StatusResponse) kvserver.Status {
	s := kvserver.Status{
		Version: r.Version, Leader: r.Leader, Learner: r.IsLearner,
		RaftTerm: r.RaftTerm, RaftIndex: r.RaftIndex, RaftAppliedIndex: r.RaftAppliedIndex,
		DBSize: r.DbSize, DBSizeInUse: r.DbSizeInUse, DBQuota: r.DbSizeQuota,
	}
	if h := r.Header; h != nil {
		s.ClusterID, s.MemberID, s.Revision = h.ClusterId, h.MemberId, h.Revision
	}
	for _, e := range r.Errors {
		if m := alarmText.FindStringSubmatch(e); m != nil {
			if m[1] == strconv.FormatUint(s.MemberID, 10) {
				s.Alarms = append(s.Alarms, m[2])
			}
			continue // another member's: it tells so itself
		}
		s.Errors = append(s.Errors, e)
	}
	slices.Sort(s.Alarms)
	return s
}

// lacksRights: with authentication on, the operator's name may have no rights
// on the key. The check comes after the linearizable read.
func lacksRights(err error) bool {
	var a *AnswerError
	return errors.As(err, &a) && (a.Code == codes.PermissionDenied || errors.Is(a, rpctypes.ErrUserEmpty))
}
