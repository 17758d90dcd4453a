package posix

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// told is a session on a fake machine whose looks go through the words of
// look.sh and back.
type told struct {
	*hosttest.Fake
	look *Host
}

func tell(m *hosttest.Machine) *told {
	h := m.Host()
	return &told{h, New(teller{h}, Options{Name: m.Name(), Now: time.Now})}
}

func (h *told) Look(ctx context.Context, q host.Query) (*host.Look, error) {
	return h.look.Look(ctx, q)
}

func (h *told) Lock(ctx context.Context, r host.LockRequest) (func() error, error) {
	unlock, err := h.Fake.Lock(ctx, r)
	if err == nil && r.Look != nil {
		if l, err := h.Look(ctx, *r.Look); err == nil {
			r.Found(l)
		}
	}
	return unlock, err
}

// teller is a transport to a fake machine that can be looked at and nothing else.
type teller struct{ h *hosttest.Fake }

func (t teller) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, _ io.Writer) (int, error) {
	request, err := io.ReadAll(stdin)
	if err == nil {
		_, err = stdout.Write(hosttest.AnswerLook(ctx, t.h, request))
	}
	return 0, errors.Join(ctx.Err(), err)
}

func (teller) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("not dialled")
}

func (teller) Close() error { return nil }

// What a fake machine says as look.sh would is understood as what it is: the
// whole suite passes, and so does all of a look.
func TestTheFakeInTheScriptsWords(t *testing.T) {
	t.Parallel()
	hosttest.Suite(t, func(t *testing.T) hosttest.Fixture {
		m := hosttest.NewMachine("fake")
		f := hosttest.FakeFixture(m)
		m.SetClock(func() time.Time { return time.Now().Truncate(time.Second) }) // units' times have no more
		f.Open = func(*testing.T) host.Host { return tell(m) }
		return f
	})
}

// A look of everything at once comes out as it went in.
func TestALookComesOutAsItWentIn(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 8, 1, 7, 0, 0, 0, time.UTC)
	m := hosttest.NewMachine("fake")
	m.SetClock(func() time.Time { return at })
	m.SetFacts(func(f *host.Facts) {
		f.Addresses, f.Missing, f.Root = []string{"127.0.0.1", "2001:db8::7"}, []string{"flock"}, false
	})
	m.WriteFile("/bin/good", []byte("good"), 0o4755)
	m.WriteFile("/etc/text", []byte("end\nraw\n"), 0o644)
	m.WriteFile("/etc/empty", nil, 0o600)
	m.Link("/etc/link", "/etc/text")
	for _, unit := range []string{"good.service", "bad.service"} {
		m.WriteFile("/etc/systemd/system/"+unit, []byte("ExecStart=/bin/good\n"), 0o644)
		m.DropIn(unit, "a.conf", "")
	}
	m.Program("good.service", func(p *hosttest.Process) error {
		p.ConfigDigest, p.Ports = "abc", []int{2379}
		return nil
	})
	m.Program("bad.service", hosttest.FailsWith("kvserver: bad luck"))
	m.Mask("masked.service")
	if err := m.Mount("/var/lib/the disk", &hosttest.Disk{Type: "xfs", ReadOnly: true, NoExec: true}); err != nil {
		t.Fatal(err)
	}
	m.WriteFile("/opt/data/member/wal/0.wal", nil, 0o600)
	m.WriteFile("/opt/data/.aside/then/x", nil, 0o600)
	m.Handle("probe", func(context.Context, *hosttest.Machine, host.Command) (host.Result, error) {
		return host.Result{Stdout: []byte("out")}, hosttest.Exit(3, "err")
	})
	h := tell(m)
	for _, unit := range []string{"good.service", "bad.service"} {
		_, _ = h.Service(t.Context(), host.ServiceRequest{Unit: unit, Enable: true, Verb: "start"})
	}
	m.ListenAt("198.18.0.1", 2379, "other")
	q := host.Query{
		Files: []host.FileQuery{{Path: "/etc/text", Content: true}, {Path: "/etc/empty", Content: true}, {Path: "/etc/link"}, {Path: "/etc/none"}, {Path: "/etc"}, {Path: "/bin/good"}},
		Dirs:  []host.DirQuery{{Path: "/opt/data"}, {Path: "/var/lib/the disk"}, {Path: "/"}, {Path: "/none"}},
		Units: []string{"good.service", "bad.service", "masked.service", "none.service"}, Ports: []int{22, 2379, 1},
		Accounts: []string{"root", "etcd"}, Space: []string{"/var/lib/the disk/x"},
		Probes: []host.Probe{{Name: "p", Argv: []string{"probe", "-"}}, {Name: "long", Argv: []string{"probe"}, Limit: 2}, {Name: "not", Argv: []string{"probe"}, Unless: "good.service"}},
	}
	want, err := h.Fake.Look(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Look(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	got.Facts.Clock, got.Facts.ClockError = want.Facts.Clock, 0
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-is +understood:\n%s", diff)
	}
}
