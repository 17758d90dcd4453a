package provision

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision/host"
)

// stopDependents stops a block's dependents on all its machines, and sees that they are gone. One that does not end fails the step, before
// any data is touched; what was stopped until then stays down until the restore is resumed or undone.
func (r *run) stopDependents(ctx context.Context, s plan.Step, a *plan.StopDependents) (outcome, error) {
	changed, errs := r.eachDependent(ctx, a.On, func(ctx context.Context, h host.Host, d plan.DependentHost) (changed bool, err error) {
		look, err := h.Look(ctx, dependentQuery(d, true))
		if err != nil {
			return false, err
		}
		for _, m := range d.Manifests {
			moved, err := moveAway(ctx, h, m, look)
			if err == nil && moved {
				err = r.ended(ctx, s, h, d, a, []string{spec.ManifestProcess(m.Path)}, nil, true)
			}
			changed = changed || moved
			if err != nil {
				return changed, err
			}
		}
		for _, u := range d.Units {
			if look.Units[u].Stopped() {
				continue
			}
			changed = true
			now, err := h.Service(ctx, host.ServiceRequest{Unit: u, Verb: "stop", Wait: a.Timeout, Progress: r.waits(s, d.Host)})
			if err == nil && (!now.Stopped() || now.PID != 0) {
				err = errors.New(now.String())
			}
			if err != nil {
				return changed, fmt.Errorf("%s on %s does not stop, and no data is touched while it runs: %w", u, d.Host, err)
			}
		}
		return changed, r.ended(ctx, s, h, d, a, d.Processes, d.Ports, false)
	})
	return outcome{changed: changed}, errors.Join(errs...)
}

// ended waits until none of these processes that are to be gone runs, and nobody listens on these ports. pods: they are ended by their kubelet.
func (r *run) ended(ctx context.Context, s plan.Step, h host.Host, d plan.DependentHost, a *plan.StopDependents, names []string, ports []int, pods bool) error {
	return r.comes(ctx, s, h, d, a.Timeout, func(look *host.Look, running map[string][]int) error {
		var left []string
		for _, n := range names {
			for _, pid := range running[n] {
				left = append(left, fmt.Sprintf("%s runs (process %d)", n, pid))
			}
		}
		for _, p := range ports {
			for _, l := range look.Ports[p].Listeners {
				left = append(left, fmt.Sprintf("%s listens on port %d", by(l), p))
			}
		}
		if len(left) == 0 {
			return nil
		}
		text := d.Host + ": " + strings.Join(left, ", ") + ", and no data is touched meanwhile"
		if u := look.Units[spec.Kubelet]; pods && u.Active != "active" {
			text += fmt.Sprintf("; %s is %s, and nobody else ends its pods", spec.Kubelet, u.String())
		}
		return errors.New(text)
	})
}

// by names who listens, as far as that could be found.
func by(l node.PortListener) string {
	if l.Process == "" {
		return "somebody"
	}
	return fmt.Sprintf("%s (process %d)", l.Process, l.PID)
}

// moveAway puts a manifest where it waits, as it is, durable there before it is gone here: a cut leaves one of the two, or both alike.
func moveAway(ctx context.Context, h host.Host, m plan.MovedManifest, look *host.Look) (bool, error) {
	here, there := look.Files[m.Path], look.Files[m.Away]
	switch {
	case !here.Exists:
		return false, nil
	case here.Type != "file":
		return false, fmt.Errorf("%s on %s is no file, and what it leads to is left alone: put the manifest itself there", m.Path, h.Name())
	case there.Exists && there.Digest != here.Digest:
		return false, fmt.Errorf("on %s %s waits in %s already, and is another one: remove the one that is not wanted", h.Name(), m.Path, m.Away)
	}
	// What is in a manifest is nobody else's business.
	folder := host.File{Path: path.Dir(m.Away), Dir: true, Mode: 0o700, Owner: "root"}
	return true, moveManifest(ctx, h, here, m.Path, m.Away, folder)
}

// moveManifest writes the file under its new name, in folders that are made, and removes the old one.
func moveManifest(ctx context.Context, h host.Host, f node.FileState, from, to string, folders ...host.File) error {
	file := host.File{Path: to, Mode: f.Mode, Owner: f.Owner + ":" + f.Group, Content: f.Content}
	if _, err := h.Write(ctx, host.WriteRequest{Files: append(folders, file)}); err != nil {
		return err
	}
	_, err := h.Remove(ctx, host.RemoveRequest{Files: []string{from}})
	return err
}
