package provision

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/provision/host"
)

// startDependents starts a block's dependents again on all its machines, and sees that what ran does. What does not come back is
// named, with what starts it by hand, and holds nothing up: the restore is over, or undone, without it. Whoever abandons the
// run finds it to be done still.
func (r *run) startDependents(ctx context.Context, s plan.Step, a *plan.StartDependents) (outcome, error) {
	changed, errs := r.eachDependent(ctx, a.On, func(ctx context.Context, h host.Host, d plan.DependentHost) (changed bool, err error) {
		look, err := h.Look(ctx, host.Query{Units: d.Units})
		if err != nil {
			return false, err
		}
		changed, errs := r.startUnits(ctx, s, h, d, a, look)
		if len(d.Manifests) > 0 {
			if look, err = h.Look(ctx, dependentQuery(d, true)); err != nil {
				return changed, errors.Join(append(errs, err)...)
			}
		}
		for _, m := range d.Manifests {
			moved, err := moveBack(ctx, h, m, look)
			changed, errs = changed || moved, append(errs, err)
		}
		if errors.Join(errs...) == nil {
			errs = append(errs, r.back(ctx, s, h, d, a))
		}
		return changed, errors.Join(errs...)
	})
	if ctx.Err() != nil {
		return outcome{changed: changed}, context.Cause(ctx)
	}
	out := outcome{changed: changed}
	for i, err := range errs {
		if err != nil {
			out.left = errors.Join(out.left, fmt.Errorf("%s: %w\n  on %s: %s", a.On[i].Host, err, a.On[i].Host, byHand(a.On[i])))
		}
	}
	return out, nil
}

// startUnits starts the units in their order, also those after one that fails, and sees that they stay.
func (r *run) startUnits(ctx context.Context, s plan.Step, h host.Host, d plan.DependentHost, a *plan.StartDependents, look *host.Look) (changed bool, errs []error) {
	began := map[string]node.UnitState{}
	for _, u := range d.Units {
		if look.Units[u].Active == "active" {
			continue
		}
		changed = true
		now, err := h.Service(ctx, host.ServiceRequest{Unit: u, Verb: "start", Wait: a.Timeout, Progress: r.waits(s, d.Host)})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s has not started: %w", u, err))
			continue
		}
		began[u] = now
	}
	if len(began) == 0 {
		return changed, errs
	}
	now, err := stayed(ctx, h, d.Units, a.Settle)
	if err != nil {
		return changed, append(errs, err)
	}
	for _, u := range d.Units {
		if was, started := began[u]; started {
			if err := fell(was, now[u]); err != nil {
				errs = append(errs, fmt.Errorf("%s has started and did not stay: %w", u, err))
			}
		}
	}
	return changed, errs
}

// stayed is how units are after a while.
func stayed(ctx context.Context, h host.Host, units []string, settle time.Duration) (map[string]node.UnitState, error) {
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	l, err := h.Look(ctx, host.Query{Units: units})
	if err != nil {
		return nil, err
	}
	return l.Units, nil
}

// fell says why a unit that had started is not what it was then; nil: it is.
func fell(was, is node.UnitState) error {
	if is.Active == "active" && is.PID == was.PID && is.Restarts == was.Restarts {
		return nil
	}
	if is.Cause != "" {
		return fmt.Errorf("%s: %s", is.String(), is.Cause)
	}
	return errors.New(is.String())
}

// moveBack puts a manifest into its place again, and removes the folder that it waited in once that is empty.
func moveBack(ctx context.Context, h host.Host, m plan.MovedManifest, look *host.Look) (bool, error) {
	here, there, folder := look.Files[m.Path], look.Files[m.Away], path.Dir(m.Away)
	switch {
	case !there.Exists && here.Exists && !look.Files[folder].Exists:
		return false, nil
	case !there.Exists && here.Exists:
		_, err := h.Remove(ctx, host.RemoveRequest{Files: []string{folder}})
		return true, err
	case !there.Exists:
		return false, fmt.Errorf("neither %s nor %s is there", m.Path, m.Away)
	case here.Exists && here.Digest != there.Digest:
		return false, fmt.Errorf("somebody has put another file in the place of %s, and the one before waits in %s: remove the one that is not wanted", m.Path, m.Away)
	}
	if err := moveManifest(ctx, h, there, m.Away, m.Path); err != nil {
		return true, err
	}
	_, err := h.Remove(ctx, host.RemoveRequest{Files: []string{folder}})
	return true, err
}

// back waits until the processes run that ran, and somebody listens where somebody did.
func (r *run) back(ctx context.Context, s plan.Step, h host.Host, d plan.DependentHost, a *plan.StartDependents) error {
	return r.comes(ctx, s, h, d, a.Timeout, func(look *host.Look, running map[string][]int) error {
		var lacks []string
		for _, n := range d.Processes {
			if len(running[n]) == 0 {
				lacks = append(lacks, n+" does not run")
			}
		}
		for _, p := range d.Ports {
			if !look.Ports[p].Listening() {
				lacks = append(lacks, fmt.Sprintf("nobody listens on port %d", p))
			}
		}
		if len(lacks) == 0 {
			return nil
		}
		return errors.New(strings.Join(lacks, ", "))
	})
}

// byHand are the commands that do what was not done.
func byHand(d plan.DependentHost) string {
	var out []string
	if len(d.Units) > 0 {
		out = append(out, "systemctl start "+strings.Join(d.Units, " "))
	}
	for _, m := range d.Manifests {
		out = append(out, "mv -n "+m.Away+" "+m.Path)
	}
	return strings.Join(out, "; ")
}
