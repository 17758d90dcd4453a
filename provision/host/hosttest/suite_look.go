package hosttest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/provision/host"
)

const walFile = "0000000000000000-0000000000000000.wal"

func testFolders(t *testing.T, s *suite) {
	var many []string
	for i := range 15 {
		many = append(many, fmt.Sprintf("f%02d", i))
		s.write(t, host.File{Path: s.path("many", many[i]), Mode: 0o600})
	}
	s.write(t,
		host.File{Path: s.path("empty"), Dir: true, Mode: 0o750},
		host.File{Path: s.path("blank disk", "lost+found"), Dir: true, Mode: 0o700},
		host.File{Path: s.path("hidden", ".x"), Mode: 0o644},
		host.File{Path: s.path("hidden", "a b"), Mode: 0o644},
		host.File{Path: s.path("refused", "member", "snap", "db"), Mode: 0o600, Content: []byte("db")},
		host.File{Path: s.path("no log", "member", "wal"), Dir: true, Mode: 0o700},
		host.File{Path: s.path("no log", "member", "wal", "0.tmp"), Mode: 0o600},
		host.File{Path: s.path("data", "member", "wal", walFile), Mode: 0o600},
		host.File{Path: s.path("log", walFile), Mode: 0o600},
		host.File{Path: s.path("file"), Mode: 0o600},
	)
	for _, c := range []struct {
		path string
		want host.DirState
	}{
		{s.path("none"), host.DirState{}},
		{s.path("file"), host.DirState{}},
		{s.path("file", "below"), host.DirState{}},
		{s.path("empty"), host.DirState{Exists: true, Empty: true, Mode: 0o750}},
		{s.path("blank disk"), host.DirState{Exists: true, Empty: true, Mode: 0o755}},
		{s.path("hidden"), host.DirState{Exists: true, Count: 2, Entries: []string{".x", "a b"}, Mode: 0o755}},
		{s.path("many"), host.DirState{Exists: true, Count: 15, Entries: many[:10], Mode: 0o755}},
		// What a start leaves that the other members have refused is no member: etcd looks for the log.
		{s.path("refused"), host.DirState{Exists: true, Count: 1, Entries: []string{"member"}, Mode: 0o755}},
		{s.path("no log"), host.DirState{Exists: true, Count: 1, Entries: []string{"member"}, Mode: 0o755}},
		{s.path("data"), host.DirState{Exists: true, Member: true, Count: 1, Entries: []string{"member"}, Mode: 0o755}},
	} {
		got := s.dir(t, c.path)
		if got.Exists && (got.Owner == "" || got.Group == "") {
			t.Errorf("%s: %+v", c.path, got)
		}
		got.Owner, got.Group = "", ""
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s: %+v, want %+v", c.path, got, c.want)
		}
	}
	// With a log elsewhere it is that one that counts.
	for q, want := range map[host.DirQuery]bool{
		{Path: s.path("refused"), WAL: s.path("log")}:  true,
		{Path: s.path("data"), WAL: s.path("empty")}:   false,
		{Path: s.path("data"), WAL: s.path("none")}:    false,
		{Path: s.path("log"), WAL: s.path("log")}:      true,
		{Path: s.path("empty"), WAL: s.path("no log")}: false,
	} {
		if got := s.look(t, host.Query{Dirs: []host.DirQuery{q}}).Dirs[q.Path]; got.Member != want {
			t.Errorf("%s with its log in %s: member %t", q.Path, q.WAL, got.Member)
		}
	}
	if root := s.dir(t, "/"); !root.Exists || root.Empty || !root.MountPoint {
		t.Errorf("/: %+v", root)
	}
}

func testFileSystems(t *testing.T, s *suite) {
	p := s.path("deep", "nothing")
	l := s.look(t, host.Query{Space: []string{p}})
	if l.Space[p] <= 0 {
		t.Errorf("%d bytes are free at %s", l.Space[p], p)
	}
	if l.Facts.OS != "linux" {
		return // it need not be able to tell
	}
	if m := l.Mounts[p]; !m.Known || !strings.HasPrefix(p, m.Point) || m.Type == "" || m.ReadOnly {
		t.Errorf("%s: %+v", p, m)
	}
}

func testAddresses(t *testing.T, s *suite) {
	f := s.look(t, host.Query{}).Facts
	if !slices.Contains(f.Addresses, "127.0.0.1") || !slices.IsSorted(f.Addresses) {
		t.Errorf("addresses: %q", f.Addresses)
	}
	for _, a := range f.Addresses {
		if ip, err := netip.ParseAddr(a); err != nil || ip.Zone() != "" || ip.String() != a {
			t.Errorf("%q is no address", a)
		}
	}
}

func testProbes(t *testing.T, s *suite) {
	s.write(t, host.File{Path: s.path("there"), Mode: 0o600})
	long := strings.Repeat("x", 5000)
	l := s.look(t, host.Query{Probes: []host.Probe{
		{Name: "odd", Argv: []string{"printf", `%s\n`, "a b", "$HOME", "'", `"`, `back\slash`, "*", "-n", "grüße", "end", "#7#"}},
		{Name: "failing", Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}},
		{Name: "long", Argv: []string{"printf", `%s\n`, long}, Limit: 100},
		{Name: "just", Argv: []string{"printf", `%s\n`, "12345"}, Limit: 6},
		{Name: "slow", Argv: []string{"sleep", "600"}, Timeout: time.Second},
		{Name: "no such command", Argv: []string{s.path("no such command")}},
		{Name: "if there", Argv: []string{"printf", `%s\n`, "yes"}, IfExists: s.path("there")},
		{Name: "if not there", Argv: []string{"printf", `%s\n`, "no"}, IfExists: s.path("not there")},
	}})
	want := map[string]host.ProbeState{
		"odd":          {Ran: true, Stdout: []byte("a b\n$HOME\n'\n\"\nback\\slash\n*\n-n\ngrüße\nend\n#7#\n")},
		"failing":      {Ran: true, Code: 3, Stdout: []byte("out\n"), Stderr: []byte("err\n")},
		"long":         {Ran: true, Stdout: []byte(long[:100]), Cut: true},
		"just":         {Ran: true, Stdout: []byte("12345\n")},
		"slow":         {Ran: true, Code: -1},
		"if there":     {Ran: true, Stdout: []byte("yes\n")},
		"if not there": {},
	}
	if p := l.Probes["no such command"]; !p.Ran || p.Code != 127 || len(p.Stdout) > 0 || len(p.Stderr) == 0 {
		t.Errorf("no such command: %+v", p)
	}
	delete(l.Probes, "no such command")
	for name, got := range l.Probes {
		if w := want[name]; got.Ran != w.Ran || got.Code != w.Code || got.Cut != w.Cut || string(got.Stdout) != string(w.Stdout) || string(got.Stderr) != string(w.Stderr) {
			t.Errorf("%s: %t %d %q %q %t", name, got.Ran, got.Code, got.Stdout, got.Stderr, got.Cut)
		}
	}
	if len(l.Probes) != len(want) {
		t.Errorf("%d probes answered, want %d", len(l.Probes), len(want))
	}
}

func testProbesRefused(t *testing.T, s *suite) {
	for _, p := range []host.Probe{
		{Name: "nothing"},
		{Argv: []string{"printf", "x"}},
		{Name: "line\nbreak", Argv: []string{"printf", "x"}},
		{Name: "empty argument", Argv: []string{"printf", ""}},
		{Name: "line break", Argv: []string{"printf", "a\nb"}},
	} {
		_, err := s.h.Look(t.Context(), host.Query{Probes: []host.Probe{p}})
		s.refused(t, p.Name, err)
	}
}

func testProbesAndServices(t *testing.T, s *suite) {
	sv := s.services(t)
	q := host.Query{Probes: []host.Probe{{Name: "idle", Argv: []string{"printf", `%s\n`, "x"}, Unless: sv.Good.Unit}}}
	ran := func() bool { return s.look(t, q).Probes["idle"].Ran }
	if !ran() {
		t.Error("not run, although there is no such unit")
	}
	s.install(t, sv.Good)
	s.service(t, host.ServiceRequest{Unit: sv.Good.Unit, Reload: true, Verb: "start", Wait: sv.Wait})
	if ran() {
		t.Error("run beside a unit that has a process")
	}
	s.service(t, host.ServiceRequest{Unit: sv.Good.Unit, Verb: "stop", Wait: sv.Wait})
	if !ran() {
		t.Error("not run after the unit was stopped")
	}
}
