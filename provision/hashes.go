package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"quorate/kvserver"
	"quorate/plan"
)

// Bounds on comparing hashes. A gigabyte of keys takes seconds; a member that
// needs longer than this for all of them has other worries. Members that have
// compacted apart are a moment apart, as is a compaction between two questions.
const (
	hashTimeout = 5 * time.Minute // for one member
	hashTries   = 3
	hashPause   = time.Second
)

// Hashes asks every member that answered o for the hash of its keys at one
// revision: the smallest that any of them has now. It asks one after another,
// since a member applies no writes while it hashes: a quorum of the others
// goes on. Members that had compacted up to different revisions are asked
// again, a few times. It writes nothing; the error is that of ctx, or of this side's certificate.
func (s *Session) Hashes(ctx context.Context, o *plan.Observed) (plan.Hashes, error) {
	admin, err := s.Admin(ctx)
	if err != nil {
		return plan.Hashes{}, err
	}
	for try := 1; ; try++ {
		h, moved := s.hashes(ctx, admin, o)
		if ctx.Err() != nil {
			return h, context.Cause(ctx)
		}
		if same, _ := h.Compare(); !moved && same != plan.CompactedApart || try == hashTries {
			return h, nil
		}
		select {
		case <-ctx.Done():
			return h, context.Cause(ctx)
		case <-time.After(hashPause):
		}
	}
}

// hashes asks once. moved: a member compacted the revision away before it was asked.
func (s *Session) hashes(ctx context.Context, admin Admin, o *plan.Observed) (h plan.Hashes, moved bool) {
	census := plan.TakeCensus(s.cluster, o)
	h = plan.Hashes{Voters: census.Membership.Voters().Total, Answers: map[string]plan.HashAnswer{}}
	for _, l := range census.Membership.Members() {
		if l.Spec == "" {
			h.Answers[l.Label()] = plan.HashAnswer{Problem: "it is not in the spec, and was not asked"}
		}
	}
	members := s.cluster.Members
	revisions := make([]int64, len(members))
	problems := make([]string, len(members))
	parallel(len(members), func(i int) {
		if a := o.Cluster.Answers[members[i].Name]; a.Status == nil {
			problems[i] = cmp.Or(a.Problem, "it was not asked")
			return
		}
		ctx, cancel := context.WithTimeout(ctx, apiTimeout)
		defer cancel()
		st, err := admin.Status(ctx, members[i].Name)
		if revisions[i] = st.Revision; err != nil {
			problems[i] = err.Error()
		}
	})
	for i := range members {
		if problems[i] == "" && (h.Revision == 0 || revisions[i] < h.Revision) {
			h.Revision = revisions[i]
		}
	}
	for i, m := range members {
		a := plan.HashAnswer{Problem: problems[i]}
		if a.Problem == "" {
			got, err := hash(ctx, admin, m.Name, h.Revision, revisions[i])
			if err != nil {
				a.Problem, moved = err.Error(), moved || errors.Is(err, kvserver.ErrCompacted)
			} else {
				a.Hash = &got
			}
		}
		h.Answers[m.Name] = a
	}
	return h, moved
}

// hash of a member's keys up to a revision. Where that is its newest one it is
// asked for the newest, whatever it is: at a revision that was compacted at, as an idle
// cluster's newest often is, etcd remembers the hash of that moment, and
// what has happened to the data since is not in it.
func hash(ctx context.Context, admin Admin, member string, revision, newest int64) (kvserver.Hash, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, hashTimeout, fmt.Errorf("it did not hash its keys within %s", hashTimeout))
	defer cancel()
	if newest == revision {
		h, err := admin.HashKV(ctx, member, 0)
		if err != nil || h.Revision == revision {
			return h, err
		}
	}
	return admin.HashKV(ctx, member, revision)
}
