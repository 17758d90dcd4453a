package hosttest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

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

// failing is a service call that has to fail, and how it did.
func (s *suite) failing(t *testing.T, r host.ServiceRequest) *host.ServiceError {
	t.Helper()
	u, err := s.h.Service(t.Context(), r)
	var failed *host.ServiceError
	if !errors.As(err, &failed) {
		t.Fatalf("%+v: %+v, %v", r, u, err)
	}
	return failed
}

// install writes a service's files, and removes them when the test is over.
func (s *suite) install(t *testing.T, sv Service) {
	t.Helper()
	s.write(t, sv.Files...)
	t.Cleanup(func() { s.tidy(t, sv) })
}

func testService(t *testing.T, s *suite) {
	sv := s.services(t)
	name := sv.Good.Unit
	if u := s.unit(t, name); u.Loaded || u.Active != "inactive" || u.PID != 0 || u.Enabled {
		t.Fatalf("before its file: %+v", u)
	}
	s.install(t, sv.Good)
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
		s.changed(t, sv.Good)
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

// changed sees that a changed unit file shows. A reload is the whole host's:
// one that another part of the suite asks for in between takes this change in
// too, so it is made again, there and back.
func (s *suite) changed(t *testing.T, sv Service) {
	t.Helper()
	i := slices.IndexFunc(sv.Files, func(f host.File) bool { return f.Path == sv.Changed.Path })
	var seen host.UnitState
	for n := range 10 {
		s.write(t, []host.File{sv.Changed, sv.Files[i]}[n%2])
		if seen = s.unit(t, sv.Unit); seen.NeedReload {
			return
		}
	}
	t.Errorf("the unit file changed: %+v", seen)
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
	s.install(t, sv.Bad)
	failed := s.failing(t, host.ServiceRequest{Unit: sv.Bad.Unit, Reload: true, Verb: "start", Wait: sv.Wait})
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
	s.failing(t, host.ServiceRequest{Unit: missing, Verb: "start", Wait: sv.Wait})
	if u := s.service(t, host.ServiceRequest{Unit: missing, Disable: true, Verb: "stop", Wait: sv.Wait}); u.Loaded || u.Active != "inactive" {
		t.Errorf("stopping a unit that is not there: %+v", u)
	}
	if _, err := s.h.Service(t.Context(), host.ServiceRequest{Unit: missing, Verb: "explode"}); err == nil {
		t.Error("an unknown verb was taken")
	}
}

const loopCause = "cannot start: listen tcp 10.0.0.9:2380: bind: cannot assign requested address"

// testCrashLoop: a unit that fails again and again is given up after its third
// exit, with the reason; the look tells the same of it.
func testCrashLoop(t *testing.T, s *suite) {
	sv := s.services(t)
	s.install(t, sv.Loop)
	var told []host.UnitState
	began := time.Now()
	failed := s.failing(t, host.ServiceRequest{
		Unit: sv.Loop.Unit, Reload: true, Verb: "start", Wait: 5 * time.Minute,
		Progress: func(u host.UnitState) { told = append(told, u) },
	})
	if took := time.Since(began); took > time.Minute {
		t.Errorf("given up after %s only", took)
	}
	if u := failed.State; u.Active != "activating" || u.Restarts < host.MaxExits-1 || u.Cause != loopCause || u.Result != "exit-code" || u.ExitStatus != 1 {
		t.Errorf("%+v", u)
	}
	if text := failed.Error(); !strings.Contains(text, loopCause) || !strings.Contains(text, "it ended ") || strings.Contains(text, "goroutine") {
		t.Errorf("the error reads %s", text)
	}
	if !strings.Contains(failed.State.Log, "goroutine 1") {
		t.Errorf("the log reads %q", failed.State.Log)
	}
	if len(told) == 0 {
		t.Error("nothing was told on the way")
	}
	for i, u := range told {
		if u.Active == "" || u.Sub == "" || i > 0 && u.Restarts < told[i-1].Restarts {
			t.Errorf("told %+v", told)
		}
	}
	if u := s.unit(t, sv.Loop.Unit); u.Active != "activating" || u.Cause != loopCause || u.Restarts < host.MaxExits-1 || u.Since.IsZero() {
		t.Errorf("looked at: %+v", u)
	}
	if u := s.service(t, host.ServiceRequest{Unit: sv.Loop.Unit, Verb: "stop", Wait: sv.Wait}); u.Active == "activating" || u.Active == "active" {
		t.Errorf("stopped: %+v", u)
	}
}

func testHangingService(t *testing.T, s *suite) {
	sv := s.services(t)
	s.install(t, sv.Hang)
	var told []host.UnitState
	failed := s.failing(t, host.ServiceRequest{
		Unit: sv.Hang.Unit, Reload: true, Verb: "start", Wait: 3 * time.Second,
		Progress: func(u host.UnitState) { told = append(told, u) },
	})
	if failed.State.Active != "activating" || failed.State.PID == 0 || !strings.Contains(failed.Cause, "timed out after 3s") {
		t.Fatalf("got %v", failed)
	}
	if len(told) == 0 || told[len(told)-1].Active != "activating" || told[len(told)-1].PID == 0 {
		t.Errorf("told on the way: %+v", told)
	}
	if u := s.unit(t, sv.Hang.Unit); u.PID != failed.State.PID || u.Cause != "" || u.Restarts != 0 {
		t.Errorf("looked at: %+v", u)
	}
	// Without waiting it is no error.
	if u := s.service(t, host.ServiceRequest{Unit: sv.Hang.Unit, Verb: "start"}); u.Active != "activating" {
		t.Errorf("%+v", u)
	}
}

// testStayingService: a unit that takes longer to end than anybody waits is an error with its state, and one that is started
// meanwhile runs once it has ended.
func testStayingService(t *testing.T, s *suite) {
	sv := s.services(t)
	if sv.Stay.Unit == "" {
		t.Skip("a unit's process is killed where it does not end")
	}
	s.install(t, sv.Stay)
	began := s.service(t, host.ServiceRequest{Unit: sv.Stay.Unit, Reload: true, Verb: "start", Wait: sv.Wait})
	failed := s.failing(t, host.ServiceRequest{Unit: sv.Stay.Unit, Verb: "stop", Wait: time.Second})
	if failed.State.Active != "deactivating" || failed.State.PID != began.PID || !strings.Contains(failed.Cause, "timed out after 1s") {
		t.Fatalf("got %v", failed)
	}
	if u := s.unit(t, sv.Stay.Unit); u.Stopped() || u.PID != began.PID {
		t.Errorf("looked at: %+v", u)
	}
	if u := s.service(t, host.ServiceRequest{Unit: sv.Stay.Unit, Verb: "start", Wait: 10 * time.Second}); u.Active != "active" || u.PID == began.PID {
		t.Errorf("started meanwhile: %+v, before %+v", u, began)
	}
}

func testMaskedService(t *testing.T, s *suite) {
	sv := s.services(t)
	s.install(t, sv.Good)
	if u := s.service(t, host.ServiceRequest{Unit: sv.Good.Unit, Reload: true}); u.Masked {
		t.Fatalf("%+v", u)
	}
	file := sv.Good.Files[len(sv.Good.Files)-1].Path
	if _, err := s.h.Run(t.Context(), host.Command{Argv: []string{"ln", "-sfn", "/dev/null", file}}); err != nil {
		t.Fatal(err)
	}
	if u := s.unit(t, sv.Good.Unit); !u.Masked || u.Enabled {
		t.Errorf("before a reload: %+v", u)
	}
	if u := s.service(t, host.ServiceRequest{Unit: sv.Good.Unit, Reload: true}); !u.Masked {
		t.Errorf("after a reload: %+v", u)
	}
	if failed := s.failing(t, host.ServiceRequest{Unit: sv.Good.Unit, Verb: "start", Wait: sv.Wait}); !strings.Contains(failed.Error(), "masked") {
		t.Errorf("a masked unit: %v", failed)
	}
}

func testDropIns(t *testing.T, s *suite) {
	sv := s.services(t)
	if !sv.Systemd {
		t.Skip("only systemd has them")
	}
	s.install(t, sv.Good)
	dir := "/etc/systemd/system/" + sv.Good.Unit + ".d"
	t.Cleanup(func() {
		_, _ = s.h.Remove(context.WithoutCancel(t.Context()), host.RemoveRequest{Files: []string{dir + "/b.conf", dir + "/a.conf", dir}})
	})
	if u := s.service(t, host.ServiceRequest{Unit: sv.Good.Unit, Reload: true}); len(u.DropIns) > 0 {
		t.Errorf("at first: %+v", u)
	}
	for _, name := range []string{"/b.conf", "/a.conf"} {
		s.write(t, host.File{Path: dir + name, Mode: 0o644, Content: []byte("[Service]\nNice=1\n")})
	}
	s.service(t, host.ServiceRequest{Unit: sv.Good.Unit, Reload: true})
	if u := s.unit(t, sv.Good.Unit); !slices.Equal(u.DropIns, []string{dir + "/a.conf", dir + "/b.conf"}) {
		t.Errorf("%q", u.DropIns)
	}
}
