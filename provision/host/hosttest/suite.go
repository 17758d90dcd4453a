package hosttest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/provision/host"
)

// Fixture is one host to put through the [Suite].
type Fixture struct {
	// Open opens a session; each is on the same host. The suite closes it.
	Open func(t *testing.T) host.Host
	// Dir is an absolute folder on the host for the suite alone; it need not exist.
	Dir string
	// Elsewhere, if set, is such a folder on another file system.
	Elsewhere string
	// Owner, if set, is an owner ("user:group") that files can be given; not the caller's own.
	Owner string
	// Account, if set, is an account that is not there yet and may be made.
	Account string
	// Talker, if set, is an address that, dialled from the host, sends something first.
	Talker string
	// ListeningPort, if set, is a port somebody listens on there.
	ListeningPort int
	// TwoSessions: the host allows two at a time on one connection, so that no three calls go on side by side.
	TwoSessions bool
	// Services, if not nil, lets the suite start and stop units; else NoServices says why not.
	Services   *Services
	NoServices string
}

// Services are the units of a fixture. Their files are written by the suite.
type Services struct {
	// Good starts and stays, Bad ends at once with a failure and says "bad luck" in its log.
	Good, Bad Service
	// Loop fails at each start with [LoopLog] and is started again by its manager; Hang
	// starts and never says that it is ready.
	Loop, Hang Service
	// Stay takes some seconds to end after it was stopped; none where the manager waits for nobody.
	Stay Service
	// Systemd: enabling and reloading mean something here.
	Systemd bool
	// Wait is long enough for Good to start, and short enough to wait for Bad to be given up.
	Wait time.Duration
}

// Service is one unit of a fixture.
type Service struct {
	Unit  string
	Files []host.File // unit file and what it needs
	// Changed is a file of Files with another content, after which the manager has to reload.
	Changed host.File
}

// LoopLog is what the unit Loop of a fixture says at each start: the reason stands first.
const LoopLog = `{"level":"info","msg":"starting"}
{"level":"fatal","msg":"cannot start","error":"listen tcp 10.0.0.9:2380: bind: cannot assign requested address"}
goroutine 1 [running]:
main.main()`

// SuiteCommands teaches a fake machine the commands that the suite runs.
func SuiteCommands(m *Machine) {
	m.Handle("cat", func(_ context.Context, _ *Machine, c host.Command) (host.Result, error) {
		return host.Result{Stdout: c.Stdin}, nil
	})
	m.HandleStream("cat", func(_ *Machine, _ []string, conn io.ReadWriter) error {
		_, err := io.Copy(conn, conn)
		return err
	})
	m.HandleStream("sh", func(_ *Machine, _ []string, conn io.ReadWriter) error {
		_, _ = io.WriteString(conn, "out\n")
		return Exit(3, "bad luck")
	})
	m.Handle("printf", func(_ context.Context, _ *Machine, c host.Command) (host.Result, error) {
		return host.Result{Stdout: []byte(strings.Join(c.Argv[2:], "\n") + "\n")}, nil
	})
	m.Handle("sh", func(_ context.Context, _ *Machine, c host.Command) (host.Result, error) {
		return host.Result{Stdout: []byte("out\n"), Stderr: []byte("err\n")}, Exit(3, "")
	})
	m.Handle("ln", func(_ context.Context, m *Machine, c host.Command) (host.Result, error) {
		m.Link(c.Argv[3], c.Argv[2])
		return host.Result{}, nil
	})
	m.Handle("mv", func(_ context.Context, m *Machine, c host.Command) (host.Result, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.rename(c.Argv[1], c.Argv[2])
		return host.Result{}, nil
	})
	m.Handle("mkfifo", func(_ context.Context, m *Machine, c host.Command) (host.Result, error) {
		m.Special(c.Argv[1], "FIFO")
		return host.Result{}, nil
	})
	m.Handle("cp", func(_ context.Context, m *Machine, c host.Command) (host.Result, error) {
		content, err := m.ReadFile(c.Argv[1])
		m.Rewrite(c.Argv[2], func([]byte) []byte { return content })
		return host.Result{}, err
	})
	m.Handle("tee", func(_ context.Context, m *Machine, c host.Command) (host.Result, error) {
		m.Rewrite(c.Argv[2], func(content []byte) []byte { return append(content, c.Stdin...) })
		return host.Result{}, nil
	})
	m.Handle("sleep", func(ctx context.Context, _ *Machine, c host.Command) (host.Result, error) {
		<-ctx.Done()
		return host.Result{}, ctx.Err()
	})
}

// Suite is what every host.Host does alike. open makes a fixture whose Dir is
// fresh; it is called once for each part, and parts run in parallel.
func Suite(t *testing.T, open func(t *testing.T) Fixture) {
	parts := []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"facts", testFacts},
		{"look at nothing", testLookAtNothing},
		{"write and look", testWriteAndLook},
		{"write again", testWriteAgain},
		{"write mends", testWriteMends},
		{"write refuses", testWriteRefuses},
		{"write odd names and contents", testWriteOdd},
		{"owner and account", testOwner},
		{"known stamps", testKnownStamps},
		{"content limit", testContentLimit},
		{"folders", testFolders},
		{"file systems", testFileSystems},
		{"addresses", testAddresses},
		{"probes", testProbes},
		{"probes refused", testProbesRefused},
		{"upload", testUpload},
		{"upload of what is new", testUploadNew},
		{"upload refuses", testUploadRefuses},
		{"upload cancelled", testUploadCancelled},
		{"download", testDownload},
		{"download refuses", testDownloadRefuses},
		{"download of what changes", testDownloadChanges},
		{"download that ends", testDownloadEnds},
		{"downloads and a lock", testDownloadsAndLock},
		{"remove", testRemove},
		{"remove entries", testRemoveEntries},
		{"aside", testAside},
		{"aside refused", testAsideRefused},
		{"move", testMove},
		{"move that was cut", testMoveCut},
		{"move back", testMoveBack},
		{"move refused", testMoveRefused},
		{"relay", testRelay},
		{"relay that ends", testRelayThatEnds},
		{"run", testRun},
		{"lines", testLines},
		{"cancel", testCancel},
		{"many at once", testManyAtOnce},
		{"lock", testLock},
		{"lock and look", testLockLooks},
		{"lock waits", testLockWaits},
		{"lock ends with the session", testLockEndsWithSession},
		{"dial", testDial},
		{"ports", testPorts},
		{"close", testClose},
		{"service", testService},
		{"failing service", testFailingService},
		{"no such service", testNoSuchService},
		{"crash loop", testCrashLoop},
		{"service that hangs", testHangingService},
		{"service that does not end", testStayingService},
		{"masked service", testMaskedService},
		{"drop-ins", testDropIns},
		{"probes and services", testProbesAndServices},
	}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := &suite{Fixture: open(t)}
			s.h = s.session(t)
			p.run(t, s)
		})
	}
}

type suite struct {
	Fixture
	h host.Host
}

func (s *suite) session(t *testing.T) host.Host {
	t.Helper()
	h := s.Open(t)
	t.Cleanup(func() { h.Close() })
	return h
}

func (s *suite) path(elem ...string) string { return path.Join(append([]string{s.Dir}, elem...)...) }

func (s *suite) write(t *testing.T, files ...host.File) []host.Change {
	t.Helper()
	changes, err := s.h.Write(t.Context(), host.WriteRequest{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != len(files) {
		t.Fatalf("%d changes for %d files", len(changes), len(files))
	}
	for i, c := range changes {
		if c.Path != files[i].Path {
			t.Fatalf("change %d is of %s, want %s", i, c.Path, files[i].Path)
		}
	}
	return changes
}

func (s *suite) look(t *testing.T, q host.Query) *host.Look {
	t.Helper()
	l, err := s.h.Look(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (s *suite) file(t *testing.T, p string) host.FileState {
	t.Helper()
	return s.look(t, host.Query{Files: []host.FileQuery{{Path: p, Content: true}}}).Files[p]
}

func (s *suite) dir(t *testing.T, p string) host.DirState {
	t.Helper()
	return s.look(t, host.Query{Dirs: []host.DirQuery{{Path: p}}}).Dirs[p]
}

func (s *suite) aside(t *testing.T, r host.AsideRequest) host.Aside {
	t.Helper()
	a, err := s.h.Aside(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (s *suite) upload(t *testing.T, u host.Upload) host.Change {
	t.Helper()
	c, err := s.h.Upload(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// removed removes, and says what that took, sorted.
func (s *suite) removed(t *testing.T, r host.RemoveRequest) []string {
	t.Helper()
	got, err := s.h.Remove(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(slices.Values(got))
}

func (s *suite) lock(t *testing.T, h host.Host, r host.LockRequest) (unlock func() error) {
	t.Helper()
	unlock, err := h.Lock(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return unlock
}

// refused checks that a call failed, with an error that names the host.
func (s *suite) refused(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
	} else if !strings.Contains(err.Error(), s.h.Name()) {
		t.Errorf("%s: the error does not name the host: %v", what, err)
	}
}

func testFacts(t *testing.T, s *suite) {
	before := time.Now()
	f := s.look(t, host.Query{}).Facts
	after := time.Now()
	if f.OS == "" || f.Arch == "" || f.Hostname == "" || f.Manager == "" && s.Services != nil {
		t.Fatalf("incomplete: %+v", f)
	}
	if f.ClockError < 0 || f.ClockError > after.Sub(before) {
		t.Fatalf("clock error %s of a look that took %s", f.ClockError, after.Sub(before))
	}
	if off := f.Clock.Sub(after).Abs(); off > f.ClockError+time.Second {
		t.Fatalf("the clock reads %s at %s, with an error of %s", f.Clock, after, f.ClockError)
	}
	if len(f.Missing) > 0 {
		t.Fatalf("missing tools: %v", f.Missing)
	}
}

func testLookAtNothing(t *testing.T, s *suite) {
	p := s.path("deep", "nothing")
	l := s.look(t, host.Query{
		Files: []host.FileQuery{{Path: p, Content: true}, {Path: p}}, Dirs: []host.DirQuery{{Path: p}, {Path: p}}, Space: []string{p},
		Accounts: []string{"root", "quorate-nobody-has-this"},
	})
	if f, ok := l.Files[p]; !ok || f.Exists || f.Digest != "" {
		t.Fatalf("file: %+v, %t", f, ok)
	}
	if d, ok := l.Dirs[p]; !ok || d.Exists || d.Member {
		t.Fatalf("folder: %+v, %t", d, ok)
	}
	if l.Space[p] <= 0 {
		t.Fatalf("space: %v", l.Space)
	}
	if !l.Accounts["root"] || l.Accounts["quorate-nobody-has-this"] {
		t.Fatalf("accounts: %v", l.Accounts)
	}
	if s.dir(t, s.path("deep")).Exists {
		t.Fatal("looking made a folder")
	}
}

func testDial(t *testing.T, s *suite) {
	if s.Talker == "" {
		t.Skip("the fixture has nobody who talks first")
	}
	conn, err := s.h.DialContext(t.Context(), "tcp", s.Talker)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, err := conn.Read(make([]byte, 1)); n != 1 {
		t.Fatalf("nothing came through the tunnel: %v", err)
	}
	// Port 1 (tcpmux) is served by nobody.
	_, err = s.h.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	s.refused(t, "dialling a closed port", err)
}

func testPorts(t *testing.T, s *suite) {
	if s.ListeningPort == 0 {
		t.Skip("the fixture has no listening port")
	}
	l := s.look(t, host.Query{Ports: []int{s.ListeningPort, 1}})
	p := l.Ports[s.ListeningPort]
	if !p.Known || !p.Listening() {
		t.Fatalf("port %d: %+v", s.ListeningPort, p)
	}
	for _, who := range p.Listeners {
		if _, err := netip.ParseAddr(who.Address); err != nil {
			t.Errorf("port %d: somebody listens at %q", s.ListeningPort, who.Address)
		}
	}
	if p := l.Ports[1]; !p.Known || p.Listening() {
		t.Fatalf("port 1: %+v", p)
	}
}

func testClose(t *testing.T, s *suite) {
	if err := s.h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.h.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Fatalf("closing twice: %v", err)
	}
	if _, err := s.h.Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: s.path("late"), Mode: 0o644}}}); err == nil {
		t.Fatal("a closed session wrote")
	}
	again := s.session(t)
	if l, err := again.Look(t.Context(), host.Query{Files: []host.FileQuery{{Path: s.path("late")}}}); err != nil || l.Files[s.path("late")].Exists {
		t.Fatalf("after closing: %v, %v", l, err)
	}
}
