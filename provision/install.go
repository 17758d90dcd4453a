package provision

import (
	"context"
	"fmt"
	"strings"

	"quorate/plan"
	"quorate/provision/host"
)

// install puts a client on a machine. What a unit is restarted for is written after the file that says that a restart is
// due, and that file goes once all units have come back: cut anywhere, the next run makes up for it.
func (r *run) install(ctx context.Context, h host.Host, s plan.Step, a *plan.Install) (out outcome, err error) {
	w := host.WriteRequest{}
	files := a.Files
	if len(a.Restart) > 0 {
		at := 0
		if len(files) > 0 && files[0].Dir {
			at = 1
		}
		files = append(append(append([]plan.WriteFile{}, files[:at]...), a.Pending), files[at:]...)
	}
	for _, f := range files {
		w.Files = append(w.Files, host.File{Path: f.Path, Dir: f.Dir, Mode: f.Mode, Owner: f.Owner, Content: []byte(f.Content)})
	}
	if len(w.Files) > 0 {
		changes, err := h.Write(ctx, w)
		if err != nil {
			return out, err
		}
		for _, c := range changes {
			out.changed = out.changed || c.Changed
		}
	}
	if a.Certificates != nil {
		_, done, err := r.certify(ctx, h, a.Certificates)
		if err != nil {
			return out, err
		}
		out.changed = out.changed || len(done.Changed) > 0
	}
	if len(a.Restart) == 0 {
		return out, nil
	}
	var said []string
	for _, unit := range a.Restart {
		what, err := r.restartConsumer(ctx, h, s, a, unit)
		if err != nil {
			return out, err
		}
		said = append(said, unit+" "+what)
	}
	out.changed, out.detail = true, strings.Join(said, ", ")
	_, err = h.Remove(ctx, host.RemoveRequest{Files: []string{a.Pending.Path}})
	return out, err
}

// restartConsumer restarts a unit, if it runs, and sees that it comes back and stays.
func (r *run) restartConsumer(ctx context.Context, h host.Host, s plan.Step, a *plan.Install, unit string) (what string, err error) {
	l, err := h.Look(ctx, host.Query{Units: []string{unit}})
	if err != nil {
		return "", err
	}
	switch before := l.Units[unit]; {
	case !before.Loaded:
		return "is not there", nil
	case before.Active == "inactive", before.Masked:
		return "does not run", nil
	}
	began, err := h.Service(ctx, host.ServiceRequest{Unit: unit, Verb: "restart", Wait: a.Wait, Progress: r.waits(s, s.Member)})
	if err != nil {
		return "", fmt.Errorf("%s has not come back, and no other machine was touched after it: %w", unit, err)
	}
	now, err := stayed(ctx, h, []string{unit}, a.Settle)
	if err != nil {
		return "", err
	}
	if err := fell(began, now[unit]); err != nil {
		return "", fmt.Errorf("%s has come back and did not stay, and no other machine was touched after it: %w", unit, err)
	}
	return "is back", nil
}
