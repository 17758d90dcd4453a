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
	digest, err := r.send(ctx, h, s, a)
	if err != nil {
		return outcome{}, err
	}
	got, err := r.restoreInto(ctx, h, s, a, digest)
	if err != nil {
		return outcome{}, err
	}
	return outcome{changed: true, detail: fmt.Sprintf("revision %d, %s", got.Revision, plan.Bytes(got.Size))}, r.unsend(ctx, h, a)
}

// send has the snapshot lie on the host, and gives its sha256. What was made on the host itself is there already.
func (r *run) send(ctx context.Context, h host.Host, s plan.Step, a *plan.Stage) (string, error) {
	blob := r.opt.Snapshot
	if a.Mark.Snapshot.Disk != nil {
		made := r.made()
		if made == nil {
			return "", fmt.Errorf("nothing has been made of the disk of %s yet", a.Mark.Snapshot.Disk.Member)
		}
		if s.Member == a.Mark.Snapshot.Disk.Member {
			return made.sha256, nil
		}
		blob = made.blob
	} else if blob == nil || blob.Digest() != a.Mark.Snapshot.SHA256 {
		return "", fmt.Errorf("the new data of %s is yet to be made, and that needs the snapshot %s (sha256 %s): name its file, quorate restore FILE --resume", s.Member, a.Mark.Snapshot.Name, a.Mark.Snapshot.SHA256)
	}
	if err := backupsFolder(ctx, h, a.Folder, a.Root); err != nil {
		return "", err
	}
	_, err := h.Upload(ctx, host.Upload{Path: a.Snapshot, Mode: 0o600, Owner: a.Root, Blob: blob, Progress: func(sent, total int64) {
		r.tell(Event{Type: Progress, Step: s.ID, Title: a.Mark.Snapshot.Name, Member: s.Member, Sent: sent, Total: total})
	}})
	return blob.Digest(), err
}

// backupsFolder makes the folder, which is root's.
func backupsFolder(ctx context.Context, h host.Host, path, owner string) error {
	_, err := h.Write(ctx, host.WriteRequest{Files: []host.File{{Path: path, Dir: true, Mode: 0o700, Owner: owner}}})
	return err
}

// unsend removes the snapshot from the host.
func (r *run) unsend(ctx context.Context, h host.Host, a *plan.Stage) error {
	_, err := h.Remove(ctx, host.RemoveRequest{Files: []string{a.Snapshot}})
	return err
}

// restoreInto has kvserver make the data, and compares what it says with what is wanted.
func (r *run) restoreInto(ctx context.Context, h host.Host, s plan.Step, a *plan.Stage, digest string) (*kvserver.Restored, error) {
	argv := []string{a.KVServer, "restore", "--snapshot", a.Snapshot, "--sha256", digest, "--hold", "--data-dir", a.Data,
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
	said, err := r.restoring(ctx, h, s, argv)
	switch {
	case err != nil:
		return nil, restoreTooOld(err, s.Member)
	case said.Restored == nil:
		return nil, fmt.Errorf("host %q: kvserver ended without saying what it has made", s.Member)
	}
	got := said.Restored
	if m := a.Mark; got.ClusterID != m.ClusterID || got.MemberID != m.Members[s.Member] || got.Revision != m.Revision || got.CompactRevision != m.CompactRevision {
		return nil, fmt.Errorf("host %q: kvserver has made member %s of cluster %s at revision %d (compacted up to %d), which should be %s of %s at %d (%d)",
			s.Member, got.MemberID, got.ClusterID, got.Revision, got.CompactRevision, m.Members[s.Member], m.ClusterID, m.Revision, m.CompactRevision)
	}
	return got, nil
}

// restoring runs a verb of kvserver's that tells of its work line by line, and gives the last thing that it says.
func (r *run) restoring(ctx context.Context, h host.Host, s plan.Step, argv []string) (said kvserver.RestoreReport, err error) {
	var bad error
	_, err = h.Run(ctx, host.Command{Argv: argv, Line: func(text string) {
		var line kvserver.RestoreReport
		switch err := json.Unmarshal([]byte(text), &line); {
		case err != nil:
			bad = cmp.Or(bad, fmt.Errorf("host %q: kvserver says %q, which is nothing that it should say", s.Member, text))
		case line.Progress != nil:
			if line.Progress.Of > 0 {
				r.tell(Event{Type: Progress, Step: s.ID, Title: line.Progress.Part, Member: s.Member, Sent: line.Progress.Done, Total: line.Progress.Of})
			}
		default:
			said = line
		}
	}})
	return said, cmp.Or(err, bad)
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
