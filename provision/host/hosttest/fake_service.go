package hosttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"quorate/provision/host"
)

// Service implements host.Host.
func (h *Fake) Service(ctx context.Context, r host.ServiceRequest) (host.UnitState, error) {
	return call(ctx, h, Call{Method: "Service", Writes: true, Detail: strings.TrimSpace(r.Verb + " " + r.Unit)},
		func() { half := r; half.Verb = ""; _, _ = h.m.service(ctx, half) },
		func() (host.UnitState, error) { return h.m.service(ctx, r) })
}

func (m *Machine) service(ctx context.Context, r host.ServiceRequest) (host.UnitState, error) {
	fail := func(cause string) (host.UnitState, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		s := m.unitState(r.Unit)
		if u := m.units[r.Unit]; u != nil {
			host.ReadLog(&s, strings.Join(u.log, "\n"))
		}
		return s, &host.ServiceError{Host: m.name, Unit: r.Unit, Verb: cmp.Or(r.Verb, "enable"), State: s, Cause: cause}
	}
	if err := m.prepare(r); err != nil {
		return fail(err.Error())
	}
	if r.Verb == "stop" || r.Verb == "restart" || r.Verb == "start" && m.Unit(r.Unit).Active == "deactivating" {
		timedOut, err := m.stop(ctx, r.Unit, r.Wait)
		if err != nil {
			return m.Unit(r.Unit), fmt.Errorf("host %q: %s %s: %w", m.name, r.Verb, r.Unit, err)
		}
		if timedOut {
			return fail(fmt.Sprintf("timed out after %s", r.Wait))
		}
	}
	switch r.Verb {
	case "", "stop":
	case "start", "restart":
		if err := m.start(r.Unit); err != nil {
			return fail(err.Error())
		}
		if r.Wait <= 0 {
			m.refresh(r.Unit)
			break
		}
		timedOut, err := m.await(ctx, r.Unit, r.Wait, r.Progress)
		if err != nil {
			return m.Unit(r.Unit), fmt.Errorf("host %q: %s %s: %w", m.name, r.Verb, r.Unit, err)
		}
		m.mu.Lock()
		u := *m.units[r.Unit]
		m.mu.Unlock()
		switch {
		case u.active() == "failed":
			return fail("failed")
		case u.again:
			return fail(fmt.Sprintf("it ended %d times", u.exits))
		case timedOut:
			return fail(fmt.Sprintf("timed out after %s", r.Wait))
		}
	default:
		return fail(fmt.Sprintf("unknown verb %q", r.Verb))
	}
	return m.Unit(r.Unit), nil
}

// prepare does what comes before the verb.
func (m *Machine) prepare(r host.ServiceRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.facts.Manager == "" {
		return errors.New("there is no service manager that this tool knows")
	}
	if r.Reload {
		m.reload()
	}
	if r.Enable || r.Verb == "start" || r.Verb == "restart" {
		if err := m.load(r.Unit); err != nil {
			return err
		}
	}
	if r.Enable {
		m.unit(r.Unit).enabled = true
	}
	if u := m.units[r.Unit]; r.Disable && u != nil {
		u.enabled = false
	}
	return nil
}
