package provision

import (
	"context"
	"fmt"
	"path"

	"quorate/plan"
	"quorate/provision/host"
)

// swap exchanges the data of a member that is stopped. Each tree is where it is, so what a cut has left is gone on with.
func (r *run) swap(ctx context.Context, h host.Host, s plan.Step, a *plan.Swap) (outcome, error) {
	look, err := h.Look(ctx, swapQuery(a))
	if err != nil {
		return outcome{}, err
	}
	if u := look.Units[a.Unit]; u.Running() {
		return outcome{}, fmt.Errorf("%s runs, and its data is not touched meanwhile: its unit was started by somebody else since it was stopped", s.Member)
	}
	if a.Back {
		return r.swapBack(ctx, h, a, look)
	}
	there := func(p string) bool { return look.Files[p].Exists }
	for _, t := range a.Trees {
		switch f := look.Files[path.Dir(t.Staged.Path())]; {
		case there(t.Staged.Path()) && f.Type != "dir":
			return outcome{}, fmt.Errorf("%s is no folder, and was put there by somebody else", path.Dir(t.Staged.Path()))
		case !there(t.Staged.Path()) && !there(t.At.Path()):
			return outcome{}, fmt.Errorf("the new data of %s is neither in %s nor in %s: take the restore back (--undo)", s.Member, t.Staged.Path(), t.At.Path())
		}
	}
	var out outcome
	for _, t := range a.Trees {
		if there(t.Staged.Path()) && there(t.At.Path()) && !there(t.Aside.Path()) {
			if err := r.keep(ctx, h, t, a.Mark.Aside()); err != nil {
				return out, err
			}
			out.changed = true
		}
	}
	for _, t := range a.Trees {
		if !there(t.Staged.Path()) {
			continue
		}
		if _, err := h.Move(ctx, host.MoveRequest{From: t.Staged, To: t.At, Keep: a.Mark.Aside()}); err != nil {
			return out, err
		}
		out.changed = true
	}
	return out, nil
}

// swapBack has the old data come back. The tree that says whose the data is goes last: what a cut has left can be told by it.
func (r *run) swapBack(ctx context.Context, h host.Host, a *plan.Swap, look *host.Look) (out outcome, err error) {
	there := func(p string) bool { return look.Files[p].Exists }
	is := toldOf(look.Probes[probePlace], a.Mark.DataDir)
	fresh := is != nil && is.ClusterID == a.Mark.ClusterID
	for i := range a.Trees {
		t := a.Trees[len(a.Trees)-1-i]
		aside, at, undone := there(t.Aside.Path()), there(t.At.Path()), there(t.Undone.Path())
		if at && !undone && (aside || fresh) {
			if err := r.keep(ctx, h, t, a.Mark.Undone()); err != nil {
				return out, err
			}
			out.changed = true
		}
		if !aside && !(at && there(path.Dir(t.Aside.Path()))) { // one that a cut has left empty goes too
			continue
		}
		if _, err := h.Move(ctx, host.MoveRequest{From: t.Aside, To: t.At, Keep: a.Mark.Undone()}); err != nil {
			return out, err
		}
		out.changed = true
	}
	return out, nil
}

// keep moves one tree aside.
func (r *run) keep(ctx context.Context, h host.Host, t plan.SwapTree, name string) error {
	_, err := h.Aside(ctx, host.AsideRequest{Dir: t.At.Dir, Name: name, Only: []string{t.At.Name}})
	return err
}

// swapQuery asks where the trees are, and whose the data in the place is.
func swapQuery(a *plan.Swap) host.Query {
	q := host.Query{Units: []string{a.Unit}, Probes: []host.Probe{inspectProbe(probePlace, a.KVServer, a.Mark.DataDir, logOf(a.Mark.WALDir))}}
	for _, t := range a.Trees {
		for _, p := range []string{t.At.Path(), t.Staged.Path(), path.Dir(t.Staged.Path()), t.Aside.Path(), path.Dir(t.Aside.Path()), t.Undone.Path()} {
			q.Files = append(q.Files, host.FileQuery{Path: p})
		}
	}
	return q
}

// logOf is where the log is in a folder of its own; "" where it has none.
func logOf(walDir string) string {
	if walDir == "" {
		return ""
	}
	return path.Join(walDir, "wal")
}
