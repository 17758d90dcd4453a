package hosttest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"quorate/provision/host"
)

const fakeUnit = "[Service]\nExecStart=/usr/local/bin/kvserver serve --config-file /etc/c.yaml\n"

func write(t *testing.T, h host.Host, files ...host.File) {
	t.Helper()
	if _, err := h.Write(t.Context(), host.WriteRequest{Files: files}); err != nil {
		t.Fatal(err)
	}
}

func TestFakeUnitFollowsItsFileOnlyAfterReload(t *testing.T) {
	m := NewMachine("etcd1")
	m.WriteFile("/usr/local/bin/kvserver", []byte("v1"), 0o755)
	var argv []string
	m.Program("etcd.service", func(p *Process) error { argv = p.Argv; p.ConfigDigest = "c1"; return nil })
	h := m.Host()
	write(t, h, host.File{Path: "/etc/systemd/system/etcd.service", Mode: 0o644, Content: []byte(fakeUnit)})
	start := host.ServiceRequest{Unit: "etcd.service", Reload: true, Enable: true, Verb: "start", Wait: time.Second}
	s, err := h.Service(t.Context(), start)
	if err != nil || s.Active != "active" || s.ConfigDigest != "c1" || len(argv) != 4 {
		t.Fatalf("start: %+v, %v, argv %q", s, err, argv)
	}
	write(t, h, host.File{Path: "/etc/systemd/system/etcd.service", Mode: 0o644, Content: []byte(fakeUnit + "# changed\n")})
	m.WriteFile("/usr/local/bin/kvserver", []byte("v2"), 0o755)
	l, err := h.Look(t.Context(), host.Query{Units: []string{"etcd.service"}, Files: []host.FileQuery{{Path: "/usr/local/bin/kvserver"}}})
	if err != nil {
		t.Fatal(err)
	}
	if u := l.Units["etcd.service"]; !u.NeedReload || u.ExeDigest == l.Files["/usr/local/bin/kvserver"].Digest {
		t.Fatalf("a changed unit file and a replaced binary are not seen: %+v", u)
	}
}

func TestFakeCutsOnceAndForAll(t *testing.T) {
	for _, replyLost := range []bool{false, true} {
		w := NewWorld("a", "b")
		a, b := w.Machine("a").Host(), w.Machine("b").Host()
		if _, err := a.Lock(t.Context(), host.LockRequest{Path: "/run/lock", Holder: host.Holder{Who: "first"}}); err != nil {
			t.Fatal(err)
		}
		w.CutAfter(1, replyLost)
		write(t, a, host.File{Path: "/etc/one", Mode: 0o644})
		_, err := b.Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: "/etc/two", Mode: 0o644}}})
		var gone *host.UnreachableError
		if !errors.As(err, &gone) || !errors.Is(err, ErrCut) {
			t.Fatalf("the cut call answered %v", err)
		}
		if _, err := w.Machine("b").ReadFile("/etc/two"); (err == nil) != replyLost {
			t.Fatalf("reply lost %t: reading the file: %v", replyLost, err)
		}
		if _, err := a.Look(t.Context(), host.Query{}); !errors.As(err, &gone) {
			t.Fatalf("the other session survived: %v", err)
		}
		if _, err := w.Dial(t.Context(), "a"); !errors.As(err, &gone) {
			t.Fatalf("a new session before Heal: %v", err)
		}
		if n := len(w.Calls()); n != 3 {
			t.Fatalf("%d calls counted: %v", n, w.Calls())
		}
		w.Heal()
		again := w.Machine("a").Host()
		if _, err := again.Lock(t.Context(), host.LockRequest{Path: "/run/lock"}); err != nil {
			t.Fatalf("the lock outlived its session: %v", err)
		}
	}
}

func TestFakeCutMidwayWritesHalf(t *testing.T) {
	m := NewMachine("a")
	m.CutMidwayAfter(0)
	_, err := m.Host().Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: "/etc/1"}, {Path: "/etc/2"}}})
	if !errors.Is(err, ErrCut) || !strings.Contains(m.Dump(), "/etc/1") || strings.Contains(m.Dump(), "/etc/2") {
		t.Fatalf("%v\n%s", err, m.Dump())
	}
}

func TestFakeFailsTheNthCallWithoutEffect(t *testing.T) {
	m, boom := NewMachine("a"), errors.New("boom")
	m.Fail(2, boom)
	h := m.Host()
	write(t, h, host.File{Path: "/etc/1"})
	if _, err := h.Remove(t.Context(), host.RemoveRequest{Files: []string{"/etc/1"}}); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if got, err := h.Remove(t.Context(), host.RemoveRequest{Files: []string{"/etc/1"}}); err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if m.Writes() != 3 {
		t.Fatalf("%d writes", m.Writes())
	}
}

func TestFakeProcessOwnsItsPortsAndTunnelsDieWithTheSession(t *testing.T) {
	m := NewMachine("a")
	m.WriteFile("/usr/local/bin/kvserver", []byte("v1"), 0o755)
	m.WriteFile("/etc/systemd/system/e.service", []byte(fakeUnit), 0o644)
	stopped := 0
	m.Program("", func(p *Process) error { p.Ports = []int{2379}; p.OnStop = func() { stopped++ }; return nil })
	m.SetDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		c, s := net.Pipe()
		t.Cleanup(func() { s.Close() })
		return c, nil
	})
	h := m.Host()
	if _, err := h.Service(t.Context(), host.ServiceRequest{Unit: "e.service", Verb: "start", Wait: time.Second}); err != nil {
		t.Fatal(err)
	}
	l, _ := h.Look(t.Context(), host.Query{Ports: []int{2379, 2380}})
	if !l.Ports[2379].Listening() || l.Ports[2380].Listening() || l.Ports[2379].Listeners[0].Process != "kvserver" {
		t.Fatalf("%+v", l.Ports)
	}
	conn, err := h.DialContext(t.Context(), "tcp", "127.0.0.1:2379")
	if err != nil {
		t.Fatal(err)
	}
	m.Crash("e.service")
	if s := m.Unit("e.service"); s.Active != "failed" || stopped != 1 {
		t.Fatalf("%+v, stopped %d", s, stopped)
	}
	m.SetUnreachable(nil)
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("a tunnel outlived its session")
	}
}

func TestFakeTimesOutWithTheTimeAskedFor(t *testing.T) {
	m := NewMachine("a")
	m.SetPatience(5 * time.Millisecond)
	m.WriteFile("/usr/local/bin/kvserver", []byte("v1"), 0o755)
	m.WriteFile("/etc/systemd/system/e.service", []byte(fakeUnit), 0o644)
	m.Program("e.service", func(p *Process) error { p.Ready = func() bool { return false }; return nil })
	_, err := m.Host().Service(t.Context(), host.ServiceRequest{Unit: "e.service", Verb: "start", Wait: time.Minute})
	var failed *host.ServiceError
	if !errors.As(err, &failed) || failed.State.Active != "activating" || failed.Cause != "timed out after 1m0s" {
		t.Fatal(err)
	}
}

func TestFakeDisks(t *testing.T) {
	m := NewMachine("a")
	h := m.Host()
	data := host.DirQuery{Path: "/var/lib/etcd"}
	look := func() host.DirState {
		t.Helper()
		l, err := h.Look(t.Context(), host.Query{Dirs: []host.DirQuery{data}, Space: []string{data.Path}})
		if err != nil {
			t.Fatal(err)
		}
		return l.Dirs[data.Path]
	}
	disk := NewDisk()
	if err := m.Mount(data.Path, disk); err != nil {
		t.Fatal(err)
	}
	if d := look(); !d.MountPoint || !d.Empty || d.Owner != "root" {
		t.Fatalf("a blank disk: %+v", d)
	}
	write(t, h, host.File{Path: data.Path + "/member/wal/0.wal", Mode: 0o600})
	if d := look(); !d.Member {
		t.Fatalf("with a member: %+v", d)
	}
	// The disk is exchanged for a blank one, and comes back.
	if m.Unmount(data.Path) != disk {
		t.Fatal("another disk came out")
	}
	if d := look(); d.MountPoint || d.Member {
		t.Fatalf("without its disk: %+v", d)
	}
	if err := m.Mount(data.Path, NewDisk()); err != nil {
		t.Fatal(err)
	}
	if d := look(); d.Member || !d.Empty {
		t.Fatalf("a new disk: %+v", d)
	}
	m.Unmount(data.Path)
	disk.ReadOnly, disk.NoExec = true, true
	if err := m.Mount(data.Path, disk); err != nil {
		t.Fatal(err)
	}
	if d := look(); !d.Member {
		t.Fatalf("its own disk again: %+v", d)
	}
	l, err := h.Look(t.Context(), host.Query{Space: []string{data.Path + "/x"}})
	if s := l.Mounts[data.Path+"/x"]; err != nil || !s.ReadOnly || !s.NoExec || s.Point != data.Path {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := h.Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: data.Path + "/f", Mode: 0o600}}}); err == nil {
		t.Error("a read-only disk was written")
	}
}

func TestFakeCrashLoopEndsWithItsReason(t *testing.T) {
	m := NewMachine("a")
	m.WriteFile("/usr/local/bin/kvserver", []byte("v1"), 0o755)
	broken := true
	m.Program("", func(p *Process) error {
		if broken {
			return errors.New("kvserver: no")
		}
		return nil
	})
	h := m.Host()
	write(t, h, host.File{Path: "/etc/systemd/system/e.service", Mode: 0o644, Content: []byte(fakeUnit + "Restart=on-failure\n")})
	_, err := h.Service(t.Context(), host.ServiceRequest{Unit: "e.service", Verb: "start", Wait: time.Minute})
	var failed *host.ServiceError
	if !errors.As(err, &failed) || failed.State.Cause != "no" || failed.State.Sub != "auto-restart" {
		t.Fatalf("%v", err)
	}
	broken = false
	if u := m.Unit("e.service"); u.Active != "active" || u.PID == 0 || u.Cause != "" {
		t.Errorf("the manager did not try again: %+v", u)
	}
}

func TestFakeForbidsForwarding(t *testing.T) {
	m := NewMachine("a")
	m.SetDialer(func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled")
		return nil, errors.New("x")
	})
	m.ForbidForwarding(true)
	_, err := m.Host().DialContext(t.Context(), "tcp", "127.0.0.1:2379")
	var forbidden *host.ForwardingError
	if !errors.As(err, &forbidden) || forbidden.Host != "a" {
		t.Errorf("got %v", err)
	}
}

func TestFakeCutsADownload(t *testing.T) {
	content := noise(100_000)
	for _, at := range []int{0, 1, piece, piece + 1, 99_999, 100_000} {
		w := NewWorld("a")
		m := w.Machine("a")
		m.WriteFile("/srv/f", content, 0o600)
		for _, f := range []*Faults{&m.Faults, &w.Faults} {
			f.CutDownloadAfter(int64(at))
			h := m.Host()
			if _, err := h.Look(t.Context(), host.Query{}); err != nil {
				t.Fatalf("a look was cut: %v", err)
			}
			var to bytes.Buffer
			got, err := h.Download(t.Context(), host.Download{Path: "/srv/f", To: &to})
			var gone *host.UnreachableError
			if !errors.As(err, &gone) || !errors.Is(err, ErrCut) || got.Size != 100_000 || got.Got != int64(at) || !bytes.Equal(to.Bytes(), content[:at]) {
				t.Fatalf("cut after %d bytes: %+v, %d are here, %v", at, got, to.Len(), err)
			}
			if _, err := m.Dial(t.Context()); !errors.As(err, &gone) || !f.Cut() {
				t.Fatalf("a new session before Heal: %v", err)
			}
			w.Heal()
			if got, err = m.Host().Download(t.Context(), host.Download{Path: "/srv/f", From: int64(at), To: &to}); err != nil || !bytes.Equal(to.Bytes(), content) {
				t.Fatalf("the rest from %d on: %+v, %v", at, got, err)
			}
		}
		// A shorter one comes whole, and the cut is still to come.
		m.CutDownloadAfter(100_001)
		h := m.Host()
		if _, err := h.Download(t.Context(), host.Download{Path: "/srv/f", To: &bytes.Buffer{}}); err != nil {
			t.Fatal(err)
		}
		m.CutMidwayAfter(0)
		var to bytes.Buffer
		if got, err := h.Download(t.Context(), host.Download{Path: "/srv/f", From: 20_000, To: &to}); !errors.Is(err, ErrCut) || got.Got != 40_000 || !bytes.Equal(to.Bytes(), content[20_000:60_000]) {
			t.Fatalf("cut midway: %+v, %v", got, err)
		}
	}
}
