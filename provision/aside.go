package provision

import (
	"context"
	"path"
	"slices"

	"quorate/plan"
	"quorate/provision/host"
)

// aside stops a unit that never served and moves its data out of the way.
func (r *run) aside(ctx context.Context, s plan.Step, a *plan.Aside) (outcome, error) {
	h, err := r.session.Host(ctx, s.Member)
	if err != nil {
		return outcome{}, err
	}
	if _, err := h.Service(ctx, host.ServiceRequest{Unit: a.Unit, Verb: "stop", Wait: plan.StopWait}); err != nil {
		return outcome{}, err
	}
	moved, err := setAside(ctx, h, a.Dirs, a.Name)
	return outcome{changed: moved}, err
}

// setAside moves what a member keeps in folders into a folder of that name
// below each: inside the same file system, whatever is mounted where. What an
// earlier, interrupted run has moved is there already.
func setAside(ctx context.Context, h host.Host, dirs []string, name string) (moved bool, err error) {
	q := host.Query{}
	for _, d := range dirs {
		q.Dirs = append(q.Dirs, host.DirQuery{Path: d})
	}
	look, err := h.Look(ctx, q)
	if err != nil {
		return false, err
	}
	for _, d := range dirs {
		to := path.Join(d, host.AsideDir, name)
		for _, entry := range plan.MemberEntries() {
			if !slices.Contains(look.Dirs[d].Entries, entry) {
				continue
			}
			owner := ""
			if f := look.Dirs[d]; f.Owner != "" {
				owner = f.Owner + ":" + f.Group
			}
			if _, err := h.Write(ctx, host.WriteRequest{Files: []host.File{
				{Path: path.Dir(to), Dir: true, Mode: 0o700, Owner: owner}, {Path: to, Dir: true, Mode: 0o700, Owner: owner}}}); err != nil {
				return moved, err
			}
			if err := h.Move(ctx, path.Join(d, entry), path.Join(to, entry)); err != nil {
				return moved, err
			}
			moved = true
		}
	}
	return moved, nil
}
