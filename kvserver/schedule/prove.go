package schedule

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"quorate/kvserver"
	"quorate/kvserver/restore"
	"quorate/kvserver/snapshot"
)

// Prove verifies the snapshot in a file, in whatever form, as [snapshot.Verify] does, then restores it beside the file and
// starts a server on it, as [restore.Prove] does: all has to be as it was read. Nothing is left of that, and the file is not changed.
// A difference is in what it gives; an error says that it could not be found out.
func Prove(ctx context.Context, path string, o snapshot.VerifyOptions) (*kvserver.Verified, *kvserver.Proved, error) {
	v, plain, done, err := snapshot.Unpack(ctx, path, o)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	p, err := proof{dir: filepath.Dir(path), content: v.Content, hash: &v.Hash, noHash: v.SHA256 == "", progress: o.Progress}.of(ctx, plain)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot prove %s: %w", path, err)
	}
	return v, &p, nil
}

// proof is one that is to be made in a folder.
type proof struct {
	dir     string
	content kvserver.SnapshotContent // what it has to come to
	hash    *kvserver.Hash           // likewise; nil: not known
	noHash  bool                     // the file has no hash at its end
	log     io.Writer                // gets what etcd warns of; nil: nobody
	// progress may be nil.
	progress func(kvserver.BackupLine)
}

// workName is the folder, in that of the backups, in which one is restored. One at a time is: what a proof that
// was killed has left is removed by the next one.
const workName = ".prove"

func (p proof) of(ctx context.Context, plain string) (kvserver.Proved, error) {
	r := restore.Proof{
		File: restore.Snapshot{Path: plain, SkipHash: p.noHash}, Work: filepath.Join(p.dir, workName), Log: p.log,
		Revision: &p.content.Revision, CompactRevision: &p.content.CompactRevision,
		Progress: func(at kvserver.RestoreProgress) {
			if p.progress != nil {
				p.progress(kvserver.BackupLine{Stage: kvserver.StageProve, Done: at.Done, Total: at.Of})
			}
		},
	}
	if p.hash != nil {
		r.Hash = &p.hash.Hash
	}
	return restore.Prove(ctx, r)
}
