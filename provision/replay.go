package provision

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision/host"
)

// replayed is a snapshot that this run has made of a disk: on the host of that, and on this side where others need it.
type replayed struct {
	sha256 string
	blob   host.Blob // nil: it was not brought here
}

func (r *run) made() *replayed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.replayed
}

// replay has the host make the snapshot, anew where a cut has left one, and brings it here. It makes sure that the disk is the one that was
// chosen, and that no other one has got further since.
func (r *run) replay(ctx context.Context, h host.Host, s plan.Step, a *plan.Replay) (outcome, error) {
	if err := backupsFolder(ctx, h, a.Folder, a.Root); err != nil {
		return outcome{}, err
	}
	if _, err := h.Remove(ctx, host.RemoveRequest{Files: []string{a.Snapshot}}); err != nil {
		return outcome{}, err
	}
	want := a.Mark.Snapshot.Disk
	if err := r.noneAhead(ctx, a, want); err != nil {
		return outcome{}, err
	}
	argv := []string{a.Disk.KVServer, "replay", "--from-data-dir", a.Disk.Data, "--work", a.Work, "--out", a.Snapshot}
	if a.Disk.WAL != "" {
		argv = append(argv, "--from-wal-dir", a.Disk.WAL)
	}
	said, err := r.restoring(ctx, h, s, argv)
	if err != nil {
		return outcome{}, restoreTooOld(err, s.Member)
	}
	got := said.Replayed
	if got == nil {
		return outcome{}, fmt.Errorf("host %q: kvserver ended without saying what it has made", s.Member)
	}
	end := plan.LogEnd{Term: got.LastTerm, Index: got.LastIndex}
	if got.ClusterID != want.ClusterID || got.MemberID != want.MemberID || end.Compare(plan.LogEnd{Term: want.LastTerm, Index: want.LastIndex}) < 0 {
		return outcome{}, fmt.Errorf("the disk of %s is of member %s of cluster %s and ends at index %d of term %d, which should be %s of %s at %d of %d or later: somebody has changed it",
			s.Member, got.MemberID, got.ClusterID, got.LastIndex, got.LastTerm, want.MemberID, want.ClusterID, want.LastIndex, want.LastTerm)
	}
	if got.Content.Revision >= a.Mark.Revision {
		return outcome{}, fmt.Errorf("its revision is %d, and the cluster would begin at %d: quorate restore --undo, then recover again", got.Content.Revision, a.Mark.Revision)
	}
	for _, u := range plan.Unfit(got.Content, a.Quota) {
		return outcome{}, fmt.Errorf("no cluster can go on with what is on the disk of %s: %s: %s\n  quorate restore --undo, then mend that, or recover from something else (--from)", s.Member, u.Reason, u.Detail)
	}
	made := &replayed{sha256: got.SHA256}
	if a.Fetch {
		if made.blob, err = r.bring(ctx, s, a, got); err != nil {
			return outcome{}, err
		}
	}
	r.mu.Lock()
	r.replayed = made
	r.mu.Unlock()
	return outcome{changed: true, detail: fmt.Sprintf("up to index %d of term %d, of which %d was known to be committed; revision %d, %s", got.LastIndex, got.LastTerm, got.Committed, got.Content.Revision, plan.Bytes(got.Size)) + standing(got.Content)}, nil
}

// standing says that an alarm comes along.
func standing(c kvserver.SnapshotContent) string {
	if len(c.Alarms) == 0 {
		return ""
	}
	return "; the alarm " + c.Alarms[0].Alarm + " stands in it, and quorate alarm disarm ends it afterwards"
}

// noneAhead is an error where another disk of the cluster goes further than the chosen one, or knows its member as removed: they may
// have been written to until the last member was stopped.
func (r *run) noneAhead(ctx context.Context, a *plan.Replay, want *kvserver.RestoreDisk) error {
	chosen, err := r.told(ctx, a.Disk)
	if err != nil {
		return err
	}
	if chosen == nil || chosen.Log == nil {
		return fmt.Errorf("nobody can say any more how far the disk of %s goes", want.Member)
	}
	end := endOf(chosen)
	var errs []error
	for _, d := range a.Others {
		switch i, err := r.told(ctx, d); {
		case err != nil:
			return err
		case i == nil || i.Log == nil || i.ClusterID != want.ClusterID:
		case slices.Contains(i.Removed, want.MemberID):
			errs = append(errs, fmt.Errorf("%s knows the member %s of %s as removed from the cluster: quorate restore --undo, then recover again", d.Member, want.MemberID, want.Member))
		case end.Compare(endOf(i)) < 0:
			errs = append(errs, fmt.Errorf("the disk of %s ends at index %d of term %d, and that of %s, which was chosen, at %d of %d: it has been written to since; quorate restore --undo, then recover again",
				d.Member, i.Log.LastIndex, i.Log.LastTerm, want.Member, end.Index, end.Term))
		}
	}
	return errors.Join(errs...)
}

func endOf(i *kvserver.Inspection) plan.LogEnd {
	return plan.LogEnd{Term: i.Log.LastTerm, Index: i.Log.LastIndex}
}

// told is what kvserver on its host says of a disk; nil: it cannot say.
func (r *run) told(ctx context.Context, d plan.ReplayDisk) (*kvserver.Inspection, error) {
	h, err := r.session.Host(ctx, d.Member)
	if err != nil {
		return nil, err
	}
	look, err := h.Look(ctx, host.Query{Probes: []host.Probe{inspectProbe(probeDisk, d.KVServer, d.Data, d.WAL)}})
	if err != nil {
		return nil, err
	}
	return toldOf(look.Probes[probeDisk], d.Data), nil
}

// bring has the snapshot come to this side.
func (r *run) bring(ctx context.Context, s plan.Step, a *plan.Replay, got *kvserver.Replayed) (host.Blob, error) {
	if r.opt.Work == "" {
		return nil, errors.New("there is no folder on this side for what the other hosts are to have")
	}
	path := filepath.Join(r.opt.Work, "replayed.db")
	if err := r.session.Fetch(ctx, FetchRequest{Member: s.Member, RemotePath: a.Snapshot, Path: path, Size: got.Size, SHA256: got.SHA256, Progress: func(n, total int64) {
		r.tell(Event{Type: Progress, Step: s.ID, Title: "to this side", Member: s.Member, Sent: n, Total: total})
	}}); err != nil {
		return nil, err
	}
	return host.FileBlob(path, r.opt.Work)
}
