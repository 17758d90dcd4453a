package provision

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/provision/host"
)

// probeSize is the probe that measures what is to be moved.
const probeSize = "size"

// sizeTime bounds measuring: a handful of files.
const sizeTime = 30 * time.Second

// former looks where a member's data lay, if its manifest names other folders than the layout. Only the
// manifest says which, so it is a look of its own: the price of a move, and of no other plan.
func former(ctx context.Context, h host.Reader, out *plan.Host, l plan.Layout) error {
	man := out.Manifest
	if man == nil || man.DataDir == l.Data && man.WALDir == l.WAL {
		return nil
	}
	files := path.Join(man.DataDir, "member", "wal")
	inspect := []string{l.KVServer, "inspect", "--data-dir", man.DataDir}
	if man.WALDir != "" {
		files = path.Join(man.WALDir, "wal")
		inspect = append(inspect, "--wal-dir", files)
	}
	q := host.Query{Dirs: []host.DirQuery{{Path: man.DataDir, WAL: files}}, Space: []string{man.DataDir}}
	if man.WALDir != "" {
		q.Dirs = append(q.Dirs, host.DirQuery{Path: man.WALDir, WAL: files})
		q.Space = append(q.Space, man.WALDir)
	}
	moves := l.Moves(man.DataDir, man.WALDir)
	size := []string{"du", "-sk"}
	for _, m := range moves {
		size = append(size, m.From.Path())
		for _, p := range []string{m.From.Path(), m.To.Path(), m.To.Whole()} {
			q.Files = append(q.Files, host.FileQuery{Path: p})
		}
	}
	q.Probes = []host.Probe{
		{Name: probeDisk, Argv: inspect, Unless: l.Unit, IfExists: l.KVServer},
		{Name: probeSize, Argv: size, Timeout: sizeTime},
	}
	look, err := h.Look(ctx, q)
	if err != nil {
		return err
	}
	f := &plan.Former{Data: look.Dirs[man.DataDir], WAL: look.Dirs[man.WALDir]}
	bytes := sizes(look.Probes[probeSize])
	for _, m := range moves {
		m.Bytes = bytes[m.From.Path()]
		f.Moves = append(f.Moves, plan.SeenMove{TreeMove: m,
			Here: look.Files[m.From.Path()].Exists, There: look.Files[m.To.Path()].Exists, Waits: look.Files[m.To.Whole()].Exists})
	}
	out.Former = f
	for p, s := range look.Mounts {
		out.Mounts[p] = s
	}
	out.Disk = cmp.Or(inspection(look.Probes[probeDisk], man.DataDir, f.Data.Member || f.WAL.Member), out.Disk)
	return nil
}

// sizes are the bytes that du said of each path; what it could not measure is not there.
func sizes(p node.ProbeState) map[string]int64 {
	out := map[string]int64{}
	for line := range strings.Lines(string(p.Stdout)) {
		n, file, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if kib, err := strconv.ParseInt(n, 10, 64); ok && err == nil && kib >= 0 {
			out[file] = kib << 10
		}
	}
	return out
}

// Kept looks for what is kept aside in folders that members' data lay in before, and notes it in what was
// observed. It is for those who show it: no plan depends on it, so no plan looks.
func (s *Session) Kept(ctx context.Context, o *plan.Observed) {
	parallel(len(s.cluster.Members), func(i int) {
		m := s.cluster.Members[i]
		out := o.Hosts[m.Name]
		if out.Manifest == nil || len(out.Manifest.Former) == 0 {
			return
		}
		h, err := s.Reader(ctx, m.Name)
		if err != nil {
			return // it was seen a moment ago, and what is kept there is kept
		}
		var q host.Query
		for _, dir := range out.Manifest.Former {
			q.Dirs = append(q.Dirs, host.DirQuery{Path: dir})
		}
		look, err := h.Look(ctx, q)
		if err != nil {
			return
		}
		for _, dir := range out.Manifest.Former {
			out.Kept = append(out.Kept, look.Dirs[dir].Aside...)
		}
		slices.Sort(out.Kept)
	})
}
