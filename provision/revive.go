package provision

import (
	"context"
	"errors"
	"fmt"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision/host"
)

// revive has the marks allow the start, starts all members together, and asks them until they are what they should be.
func (r *run) revive(ctx context.Context, s plan.Step, a *plan.Revive) (outcome, error) {
	all := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, a.Wait, fmt.Errorf("the members did not serve within %s", a.Wait))
	defer cancel()
	marks := map[string]plan.MarkRestore{}
	for i, m := range a.Members {
		marks[m.Member] = a.Marks[i]
	}
	if err := r.each(ctx, a.Members, func(ctx context.Context, h host.Host, m plan.StartMember) error {
		mark := marks[m.Member]
		_, err := r.mark(ctx, h, s, &mark)
		return err
	}); err != nil {
		return outcome{}, err
	}
	wait := a.Wait
	if a.Blind {
		wait = 0
	}
	if err := r.each(ctx, a.Members, func(ctx context.Context, h host.Host, m plan.StartMember) error {
		_, err := h.Service(ctx, host.ServiceRequest{Unit: m.Unit, Enable: true, Verb: "start", Wait: wait, Progress: r.waits(s, m.Member)})
		return err
	}); err != nil {
		return outcome{}, err
	}
	if a.Blind {
		return outcome{changed: true, detail: "it had no quorum before, and none is waited for"}, nil
	}
	id, err := r.oneCluster(ctx, &plan.Start{Members: a.Members, Voters: a.Voters})
	if err != nil {
		return outcome{}, err
	}
	mark := a.Marks[0].Mark
	if mark.Stage.Backwards() {
		if kvserver.ID(id) == mark.ClusterID {
			return outcome{}, fmt.Errorf("the members serve the restored cluster %s still", mark.ClusterID)
		}
		return outcome{changed: true, detail: fmt.Sprintf("cluster %x, %d voters", id, a.Voters)}, nil
	}
	if err := r.asRestored(all, ctx, a, mark); err != nil {
		return outcome{}, err
	}
	return outcome{changed: true, detail: fmt.Sprintf("cluster %x, %d voters with the same keys at revision %d", id, a.Voters, mark.Revision)}, nil
}

// asRestored is an error unless the members have the ids that they should, one leader, and the same keys. hashing
// bounds the hashes, which take as long as the keys do.
func (r *run) asRestored(hashing, ctx context.Context, a *plan.Revive, mark kvserver.RestoreMark) error {
	admin, err := r.session.Admin(ctx)
	if err != nil {
		return err
	}
	if err := r.until(ctx, a.Members[0].Member, func() error {
		leader := uint64(0)
		for _, m := range a.Members {
			st, err := r.healthy(ctx, admin, m.Member, a.Voters)
			switch {
			case err != nil:
				return err
			case kvserver.ID(st.ClusterID) != mark.ClusterID || kvserver.ID(st.MemberID) != mark.Members[m.Member]:
				return fmt.Errorf("%s serves as member %x of cluster %x, which should be %s of %s", m.Member, st.MemberID, st.ClusterID, mark.Members[m.Member], mark.ClusterID)
			case st.Revision < mark.Revision:
				return fmt.Errorf("%s is at revision %d, which should be %d or more", m.Member, st.Revision, mark.Revision)
			case leader != 0 && st.Leader != leader:
				return fmt.Errorf("%s follows another leader than %s", m.Member, a.Members[0].Member)
			}
			leader = st.Leader
		}
		return nil
	}); err != nil {
		return err
	}
	return r.sameKeys(hashing, admin, a, mark)
}

// sameKeys compares the members' hashes at the revision that was restored or, where history has been dropped since, at
// the oldest that all have now.
func (r *run) sameKeys(ctx context.Context, admin Admin, a *plan.Revive, mark kvserver.RestoreMark) error {
	at := mark.Revision
	for try := range hashTries {
		var first kvserver.Hash
		var err error
		for i, m := range a.Members {
			st, serr := admin.Status(ctx, m.Member)
			h, herr := hash(ctx, admin, m.Member, at, st.Revision)
			if err = errors.Join(serr, herr); err != nil {
				err = fmt.Errorf("%s: %w", m.Member, err)
				break
			}
			if i == 0 {
				first = h
			}
			if h.Hash != first.Hash || h.CompactRevision != first.CompactRevision {
				err = fmt.Errorf("%s and %s hold different keys at revision %d (hash %08x, compacted up to %d; %08x, %d): take the restore back (--undo)",
					a.Members[0].Member, m.Member, at, first.Hash, first.CompactRevision, h.Hash, h.CompactRevision)
				if h.CompactRevision == first.CompactRevision {
					return err
				}
				break
			}
		}
		if err == nil || try == hashTries-1 {
			return err
		}
		if errors.Is(err, kvserver.ErrCompacted) {
			if at, err = r.oldest(ctx, admin, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// oldest is the newest revision that every member has.
func (r *run) oldest(ctx context.Context, admin Admin, a *plan.Revive) (int64, error) {
	least := int64(0)
	for _, m := range a.Members {
		st, err := admin.Status(ctx, m.Member)
		if err != nil {
			return 0, err
		}
		if least == 0 || st.Revision < least {
			least = st.Revision
		}
	}
	return least, nil
}
