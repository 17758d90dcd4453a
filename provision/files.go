package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"quorate/plan"
	"quorate/provision/host"
)

// files writes the batch in one call, then has the service manager read it.
func (r *run) files(ctx context.Context, h host.Host, s plan.Step, a *plan.Files) (outcome, error) {
	w := host.WriteRequest{Account: a.Account}
	for _, f := range a.Files {
		w.Files = append(w.Files, host.File{Path: f.Path, Dir: f.Dir, Mode: f.Mode, Owner: f.Owner, Content: []byte(f.Content)})
	}
	if err := tried(ctx, h, a); err != nil {
		return outcome{}, err
	}
	out := outcome{changed: a.Reload || a.Enable || a.StartTimer != "" || a.Account != ""}
	if len(w.Files) > 0 || w.Account != "" {
		changes, err := h.Write(ctx, w)
		if err != nil {
			return outcome{}, err
		}
		for _, c := range changes {
			out.changed = out.changed || c.Changed
		}
	}
	if a.StopTimer != "" {
		if _, err := h.Service(ctx, host.ServiceRequest{Unit: a.StopTimer, Disable: true, Verb: "stop", Wait: plan.StopWait}); err != nil {
			return outcome{}, err
		}
	}
	if len(a.Absent) > 0 {
		gone, err := h.Remove(ctx, host.RemoveRequest{Files: a.Absent})
		if err != nil {
			return outcome{}, err
		}
		out.changed = out.changed || len(gone) > 0
	}
	reload := a.Reload
	if reload && a.StartTimer == "" || a.Enable {
		if _, err := h.Service(ctx, host.ServiceRequest{Unit: a.Unit, Reload: reload, Enable: a.Enable}); err != nil {
			return outcome{}, err
		}
		reload = false
	}
	if a.StartTimer != "" {
		if _, err := h.Service(ctx, host.ServiceRequest{Unit: a.StartTimer, Reload: reload, Enable: true, Verb: "restart"}); err != nil {
			return outcome{}, err
		}
	}
	return out, nil
}

// tried has kvserver on the host try the new configuration before it is put in place.
func tried(ctx context.Context, h host.Host, a *plan.Files) error {
	for _, f := range a.Files {
		if a.Check == "" || f.Path != a.CheckPath {
			continue
		}
		_, err := h.Run(ctx, host.Command{Argv: []string{a.Check, "serve", "--check", "--config-file", "-"}, Stdin: []byte(f.Content)})
		var exit *host.ExitError
		switch {
		case errors.As(err, &exit):
			return fmt.Errorf("host %q: the new configuration was tried and is not good; nothing was written: %s", h.Name(), strings.TrimSpace(exit.Stderr))
		case err != nil:
			return err
		}
	}
	return nil
}
