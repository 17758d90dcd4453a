package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/provision/host"
)

// stage sends the snapshot and has the host make the new data of it, beside what the member serves from. What a
// cut has left is removed and made anew.
func (r *run) stage(ctx context.Context, h host.Host, s plan.Step, a *plan.Stage) (outcome, error) {
	look, err := h.Look(ctx, stagingQuery(a.KVServer, a.Data, a.WAL))
	if err != nil {
		return outcome{}, err
	}
	if staged(look, a.Data, a.WAL, a.Mark) {
		return outcome{}, r.unsend(ctx, h, a)
	}
	if err := removeStaging(ctx, h, a.Mark); err != nil {
		return outcome{}, err
	}
	blob := r.opt.Snapshot
	if blob == nil || blob.Digest() != a.Mark.Snapshot.SHA256 {
		return outcome{}, fmt.Errorf("the new data of %s is yet to be made, and that needs the snapshot %s (sha256 %s): name its file, quorate restore FILE --resume", s.Member, a.Mark.Snapshot.Name, a.Mark.Snapshot.SHA256)
	}
	folder := host.File{Path: a.Folder, Dir: true, Mode: 0o700, Owner: a.Root}
	if _, err := h.Write(ctx, host.WriteRequest{Files: []host.File{folder}}); err != nil {
		return outcome{}, err
	}
	if _, err := h.Upload(ctx, host.Upload{Path: a.Snapshot, Mode: 0o600, Owner: a.Root, Blob: blob, Progress: func(sent, total int64) {
		r.tell(Event{Type: Progress, Step: s.ID, Title: a.Mark.Snapshot.Name, Member: s.Member, Sent: sent, Total: total})
	}}); err != nil {
		return outcome{}, err
	}
	got, err := r.restoreInto(ctx, h, s, a)
	if err != nil {
		return outcome{}, err
	}
	return outcome{changed: true, detail: fmt.Sprintf("revision %d, %s", got.Revision, plan.Bytes(got.Size))}, r.unsend(ctx, h, a)
}

// unsend removes the snapshot from the host.
func (r *run) unsend(ctx context.Context, h host.Host, a *plan.Stage) error {
	_, err := h.Remove(ctx, host.RemoveRequest{Files: []string{a.Snapshot}})
	return err
}

// restoreInto has kvserver make the data, and compares what it says with what is wanted.
func (r *run) restoreInto(ctx context.Context, h host.Host, s plan.Step, a *plan.Stage) (*kvserver.Restored, error) {
	argv := []string{a.KVServer, "restore", "--snapshot", a.Snapshot, "--sha256", a.Mark.Snapshot.SHA256, "--hold", "--data-dir", a.Data,
		"--name", s.Member, "--initial-cluster", a.Mark.InitialCluster, "--token", a.Mark.Token, "--server", a.Server}
	if a.WAL != "" {
		argv = append(argv, "--wal-dir", a.WAL)
	}
	if a.Mark.Bumped {
		argv = append(argv, "--target-revision", fmt.Sprint(a.Mark.Revision))
	}
	if a.Mark.Snapshot.NoHash {
		argv = append(argv, "--skip-hash-check")
	}
	if a.Owner != "" {
		argv = append(argv, "--owner", a.Owner)
	}
	var got *kvserver.Restored
	var bad error
	_, err := h.Run(ctx, host.Command{Argv: argv, Line: func(text string) {
		var line kvserver.RestoreReport
		switch err := json.Unmarshal([]byte(text), &line); {
		case err != nil:
			bad = cmp.Or(bad, fmt.Errorf("host %q: kvserver says %q, which is nothing that it should say", s.Member, text))
		case line.Restored != nil:
			got = line.Restored
		case line.Progress != nil && line.Progress.Of > 0:
			r.tell(Event{Type: Progress, Step: s.ID, Title: line.Progress.Part, Member: s.Member, Sent: line.Progress.Done, Total: line.Progress.Of})
		}
	}})
	switch m := a.Mark; {
	case err != nil:
		return nil, restoreTooOld(err, s.Member)
	case bad != nil:
		return nil, bad
	case got == nil:
		return nil, fmt.Errorf("host %q: kvserver ended without saying what it has made", s.Member)
	case got.ClusterID != m.ClusterID || got.MemberID != m.Members[s.Member] || got.Revision != m.Revision || got.CompactRevision != m.CompactRevision:
		return nil, fmt.Errorf("host %q: kvserver has made member %s of cluster %s at revision %d (compacted up to %d), which should be %s of %s at %d (%d)",
			s.Member, got.MemberID, got.ClusterID, got.Revision, got.CompactRevision, m.Members[s.Member], m.ClusterID, m.Revision, m.CompactRevision)
	}
	return got, nil
}

// restoreTooOld says what to do where a host's kvserver does not know the verb, or that it is to make the folders itself.
func restoreTooOld(err error, member string) error {
	exit, ok := errors.AsType[*host.ExitError](err)
	if ok && exit.Code == 2 {
		return fmt.Errorf("the kvserver on host %q may be older than this quorate\n  quorate restore --undo, then quorate apply puts the new one there: %w", member, err)
	}
	return tooOld(err, member, "restore")
}

// removeStaging removes the folders in which new data waits, whole or not.
func removeStaging(ctx context.Context, h host.Host, m kvserver.RestoreMark) error {
	var r host.RemoveRequest
	for _, dir := range []string{m.DataDir, m.WALDir} {
		if dir != "" {
			r.Entries = append(r.Entries, host.Entries{Dir: dir, Names: []string{m.Staging()}})
		}
	}
	_, err := h.Remove(ctx, r)
	return err
}

// Probes that say whose data there is.
const (
	probeStaged = "staged"
	probePlace  = "place"
)

// stagingQuery asks for what is staged in these folders, wal "" where the log is inside data.
func stagingQuery(binary, data, wal string) host.Query {
	q := host.Query{Files: []host.FileQuery{{Path: data}}, Dirs: []host.DirQuery{{Path: data, WAL: wal}}}
	if wal != "" {
		q.Dirs = append(q.Dirs, host.DirQuery{Path: path.Dir(wal), WAL: wal})
	}
	q.Probes = []host.Probe{inspectProbe(probeStaged, binary, data, wal)}
	return q
}

func inspectProbe(name, binary, data, wal string) host.Probe {
	argv := []string{binary, "inspect", "--data-dir", data}
	if wal != "" {
		argv = append(argv, "--wal-dir", wal)
	}
	return host.Probe{Name: name, Argv: argv, IfExists: binary}
}

// staged reports whether the new data waits there, whole: a log and a database of the right ids and revision, and no mark
// of kvserver's that it is unfinished.
func staged(l *host.Look, data, wal string, m kvserver.RestoreMark) bool {
	i := toldOf(l.Probes[probeStaged], data)
	return l.Files[data].Type == "dir" && len(l.Dirs[data].Entries) == 1 && l.Dirs[data].Entries[0] == "member" && (wal == "" || l.Dirs[path.Dir(wal)].Member) &&
		i != nil && i.ClusterID == m.ClusterID && i.DB != nil && i.DB.Revision == m.Revision
}

// partly reports whether anything is staged there.
func partly(l *host.Look, data, wal string) bool {
	return l.Dirs[data].Count > 0 || wal != "" && l.Dirs[path.Dir(wal)].Count > 0
}

// toldOf is what a probe said of the data in a folder; nil where it could not say.
func toldOf(p node.ProbeState, dir string) *kvserver.Inspection { return inspection(p, dir, true) }
