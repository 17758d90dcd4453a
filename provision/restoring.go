package provision

import (
	"context"
	"fmt"
	"path"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision/host"
)

// restoring looks how far the restore is that a host's mark is of. Only the mark says where, so it is a look of its own,
// which only an unfinished restore costs.
func restoring(ctx context.Context, h host.Reader, out *plan.Host, l plan.Layout, f host.FileState) error {
	if !f.Exists {
		return nil
	}
	mark, err := kvserver.ParseRestoreMark(f.Content)
	if err != nil {
		return fmt.Errorf("%s, which says how far a restore is there, cannot be read: %w", l.Restore, err)
	}
	place := plan.Layout{Data: mark.DataDir, WAL: mark.WALDir}
	trees := place.SwapTrees(mark)
	data, wal := path.Join(mark.DataDir, mark.Staging()), ""
	if mark.WALDir != "" {
		wal = path.Join(mark.WALDir, mark.Staging(), "wal")
	}
	q := stagingQuery(l.KVServer, data, wal)
	swapped := swapQuery(&plan.Swap{Unit: l.Unit, Trees: trees, KVServer: l.KVServer, Mark: mark})
	for _, file := range swapped.Files {
		if file.Path != data {
			q.Files = append(q.Files, file)
		}
	}
	q.Probes = append(q.Probes, swapped.Probes...)
	look, err := h.Look(ctx, q)
	if err != nil {
		return err
	}
	r := &plan.Restoring{Mark: mark, Staged: staged(look, data, wal, mark), Partly: partly(look, data, wal)}
	for _, t := range trees {
		r.Aside = r.Aside || look.Files[path.Dir(t.Aside.Path())].Exists
		r.Undone = r.Undone || look.Files[t.Undone.Path()].Exists
	}
	if i := toldOf(look.Probes[probePlace], mark.DataDir); i != nil {
		r.ClusterID = i.ClusterID
		if i.DB != nil {
			r.Revision = i.DB.Revision
		}
	}
	out.Restore = r
	return nil
}
