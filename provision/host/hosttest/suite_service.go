package hosttest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"quorate/provision/host"
)

func (s *suite) services(t *testing.T) *Services {
	t.Helper()
	if s.Services == nil {
		t.Skip("no services: " + s.NoServices)
	}
	return s.Services
}

func (s *suite) unit(t *testing.T, name string) host.UnitState {
	t.Helper()
	u, ok := s.look(t, host.Query{Units: []string{name, name}}).Units[name]
	if !ok {
		t.Fatalf("the look does not tell of %s", name)
	}
	return u
}

func (s *suite) service(t *testing.T, r host.ServiceRequest) host.UnitState {
	t.Helper()
	u, err := s.h.Service(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func testService(t *testing.T, s *suite) {
	sv := s.services(t)
	name := sv.Good.Unit
	if u := s.unit(t, name); u.Loaded || u.Active != "inactive" || u.PID != 0 || u.Enabled {
		t.Fatalf("before its file: %+v", u)
	}
	s.write(t, sv.Good.Files...)
	t.Cleanup(func() { s.tidy(t, sv.Good) })
	request := host.ServiceRequest{Unit: name, Reload: true, Enable: true, Verb: "start", Wait: sv.Wait}
	u := s.service(t, request)
	if u.Active != "active" || u.PID == 0 || !u.Loaded || !u.Enabled || u.NeedReload || u.ExeDigest == "" || u.StartedAt.IsZero() {
		t.Fatalf("started: %+v", u)
	}
	if seen := s.unit(t, name); seen.PID != u.PID || seen.ExeDigest != u.ExeDigest || seen.Active != "active" || !seen.StartedAt.Equal(u.StartedAt) {
		t.Errorf("looked at: %+v, started as %+v", seen, u)
	}
	if again := s.service(t, request); again.PID != u.PID {
		t.Errorf("starting again made another process: %+v, was %+v", again, u)
	}
	if sv.Systemd {
		s.write(t, sv.Good.Changed)
		if seen := s.unit(t, name); !seen.NeedReload {
			t.Errorf("the unit file changed: %+v", seen)
		}
		if seen := s.service(t, host.ServiceRequest{Unit: name, Reload: true}); seen.NeedReload || seen.PID != u.PID {
			t.Errorf("reloaded: %+v", seen)
		}
	}
	r := s.service(t, host.ServiceRequest{Unit: name, Verb: "restart", Wait: sv.Wait})
	if r.Active != "active" || r.PID == u.PID {
		t.Errorf("restarted: %+v, was %+v", r, u)
	}
	for range 2 {
		if u := s.service(t, host.ServiceRequest{Unit: name, Verb: "stop", Wait: sv.Wait}); u.Active != "inactive" || u.PID != 0 {
			t.Errorf("stopped: %+v", u)
		}
	}
	if sv.Systemd {
		if u := s.service(t, host.ServiceRequest{Unit: name, Disable: true}); u.Enabled {
			t.Errorf("disabled: %+v", u)
		}
	}
}

func (s *suite) tidy(t *testing.T, sv Service) {
	h := s.Open(t)
	defer h.Close()
	// The test's context is over when cleanups run.
	ctx := context.WithoutCancel(t.Context())
	_, _ = h.Service(ctx, host.ServiceRequest{Unit: sv.Unit, Disable: true, Verb: "stop", Wait: s.Services.Wait})
	var files []string
	for _, f := range sv.Files {
		if !f.Dir {
			files = append(files, f.Path)
		}
	}
	if _, err := h.Remove(ctx, host.RemoveRequest{Files: files}); err != nil {
		t.Error(err)
	}
}

func testFailingService(t *testing.T, s *suite) {
	sv := s.services(t)
	s.write(t, sv.Bad.Files...)
	t.Cleanup(func() { s.tidy(t, sv.Bad) })
	u, err := s.h.Service(t.Context(), host.ServiceRequest{Unit: sv.Bad.Unit, Reload: true, Verb: "start", Wait: sv.Wait})
	var failed *host.ServiceError
	if !errors.As(err, &failed) {
		t.Fatalf("a unit that fails started: %+v, %v", u, err)
	}
	if failed.Unit != sv.Bad.Unit || failed.Host != s.h.Name() || failed.Verb != "start" || failed.State.Active == "active" {
		t.Errorf("%+v", failed)
	}
	if !strings.Contains(failed.State.Log, "bad luck") {
		t.Errorf("the log reads %q", failed.State.Log)
	}
}

func testNoSuchService(t *testing.T, s *suite) {
	sv := s.services(t)
	missing := "quorate-no-such-unit.service"
	if !sv.Systemd {
		missing = s.path("no-such-unit.json")
	}
	var failed *host.ServiceError
	if _, err := s.h.Service(t.Context(), host.ServiceRequest{Unit: missing, Verb: "start", Wait: sv.Wait}); !errors.As(err, &failed) {
		t.Errorf("starting a unit that is not there: %v", err)
	}
	if u, err := s.h.Service(t.Context(), host.ServiceRequest{Unit: missing, Disable: true, Verb: "stop", Wait: sv.Wait}); err != nil || u.Loaded || u.Active != "inactive" {
		t.Errorf("stopping a unit that is not there: %+v, %v", u, err)
	}
	if _, err := s.h.Service(t.Context(), host.ServiceRequest{Unit: missing, Verb: "explode"}); err == nil {
		t.Error("an unknown verb was taken")
	}
}
