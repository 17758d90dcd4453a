package hosttest

import (
	"slices"
	"strings"
	"testing"

	"quorate/provision/host"
)

func (s *suite) dir(t *testing.T, p string) host.DirState {
	t.Helper()
	return s.look(t, host.Query{Dirs: []host.DirQuery{{Path: p}}}).Dirs[p]
}

func testAside(t *testing.T, s *suite) {
	data := s.path("data")
	member := func() {
		t.Helper()
		s.write(t, host.File{Path: data, Dir: true, Mode: 0o710}, host.File{Path: data + "/lost+found", Dir: true, Mode: 0o700},
			host.File{Path: data + "/member/wal/" + walFile, Mode: 0o600, Content: []byte("log")}, host.File{Path: data + "/.hidden", Mode: 0o600},
			host.File{Path: data + "/a b", Mode: 0o600})
	}
	member()
	got, err := s.h.Aside(t.Context(), host.AsideRequest{Dir: data, Name: "20260102T030405Z"})
	if err != nil {
		t.Fatal(err)
	}
	first := data + "/.aside/20260102T030405Z"
	if got.Path != first || !slices.Equal(got.Moved, []string{".hidden", "a b", "member"}) {
		t.Errorf("%+v", got)
	}
	d := s.dir(t, data)
	if !d.Exists || !d.Empty || d.Member || d.Mode != 0o710 || !slices.Equal(d.Aside, []string{first}) || len(d.Entries) > 0 {
		t.Errorf("afterwards: %+v", d)
	}
	if f := s.file(t, first+"/member/wal/"+walFile); string(f.Content) != "log" || !s.file(t, data+"/lost+found").Exists {
		t.Errorf("the log is now %+v", f)
	}
	if f := s.file(t, data+"/.aside"); f.Mode != 0o700 {
		t.Errorf("what was moved aside can be seen by others: %+v", f)
	}
	// Once more is nothing more.
	if got, err := s.h.Aside(t.Context(), host.AsideRequest{Dir: data, Name: "20260102T030405Z"}); err != nil || got.Path != first || len(got.Moved) > 0 {
		t.Errorf("again: %+v, %v", got, err)
	}
	// A second one, under a name of its own.
	member()
	if got, err := s.h.Aside(t.Context(), host.AsideRequest{Dir: data, Name: "second"}); err != nil || got.Path != data+"/.aside/second" {
		t.Errorf("second: %+v, %v", got, err)
	}
	if d := s.dir(t, data); !slices.Equal(d.Aside, []string{first, data + "/.aside/second"}) {
		t.Errorf("afterwards: %+v", d)
	}
	// What a cut has left is finished by the same request.
	s.write(t, host.File{Path: data + "/late", Mode: 0o600})
	if got, err := s.h.Aside(t.Context(), host.AsideRequest{Dir: data, Name: "second"}); err != nil || !slices.Equal(got.Moved, []string{"late"}) {
		t.Errorf("finishing: %+v, %v", got, err)
	}
	// Only what is named.
	member()
	only := host.AsideRequest{Dir: data, Name: "third", Only: []string{"member", "none"}}
	if got, err := s.h.Aside(t.Context(), only); err != nil || !slices.Equal(got.Moved, []string{"member"}) {
		t.Errorf("only some: %+v, %v", got, err)
	}
	if d := s.dir(t, data); !slices.Equal(d.Entries, []string{".hidden", "a b"}) {
		t.Errorf("only some: %+v", d)
	}
	only.Only, only.Name = []string{}, "fourth"
	if got, err := s.h.Aside(t.Context(), only); err != nil || got.Path != "" {
		t.Errorf("only none: %+v, %v", got, err)
	}
	if s.Owner != "" {
		s.write(t, host.File{Path: s.path("theirs"), Dir: true, Mode: 0o700, Owner: s.Owner}, host.File{Path: s.path("theirs", "f"), Mode: 0o600})
		got, err := s.h.Aside(t.Context(), host.AsideRequest{Dir: s.path("theirs"), Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{s.path("theirs", ".aside"), got.Path} {
			if f := s.file(t, p); f.Owner+":"+f.Group != s.Owner {
				t.Errorf("%s belongs to %s:%s", p, f.Owner, f.Group)
			}
		}
	}
	// Nothing there is nothing to do, and nothing is made.
	for _, p := range []string{s.path("none"), s.path("empty")} {
		s.write(t, host.File{Path: s.path("empty"), Dir: true, Mode: 0o700})
		if got, err := s.h.Aside(t.Context(), host.AsideRequest{Dir: p, Name: "x"}); err != nil || got.Path != "" || len(got.Moved) > 0 {
			t.Errorf("%s: %+v, %v", p, got, err)
		}
		if d := s.dir(t, p); d.Exists != (p == s.path("empty")) || len(d.Aside) > 0 {
			t.Errorf("%s: %+v", p, d)
		}
	}
}

func testAsideRefused(t *testing.T, s *suite) {
	s.write(t, host.File{Path: s.path("data", "member", "x"), Mode: 0o600}, host.File{Path: s.path("data", "other"), Mode: 0o600},
		host.File{Path: s.path("wal", walFile), Mode: 0o600}, host.File{Path: s.path("wal", "other"), Mode: 0o600})
	if _, err := s.h.Aside(t.Context(), host.AsideRequest{Dir: s.path("data"), Name: "a"}); err != nil {
		t.Fatal(err)
	}
	s.write(t, host.File{Path: s.path("data", "member", "y"), Mode: 0o600}, host.File{Path: s.path("data", "another"), Mode: 0o600})
	for name, r := range map[string]host.AsideRequest{
		"an entry is there already":     {Dir: s.path("data"), Name: "a"},
		"etcd would delete it":          {Dir: s.path("wal"), Name: "b"},
		"an entry that leads out":       {Dir: s.path("data"), Name: "b", Only: []string{"../x"}},
		"no name":                       {Dir: s.path("data")},
		"a name that leads out":         {Dir: s.path("data"), Name: ".."},
		"a name with a slash":           {Dir: s.path("data"), Name: "a/b"},
		"a path that is not a full one": {Dir: "data", Name: "b"},
	} {
		if got, err := s.h.Aside(t.Context(), r); err == nil {
			t.Errorf("%s: %+v", name, got)
		} else if !strings.Contains(err.Error(), s.h.Name()) {
			t.Errorf("%s: the error does not name the host: %v", name, err)
		}
	}
	if d := s.dir(t, s.path("data")); d.Count != 2 || len(d.Aside) != 1 {
		t.Errorf("a refused request moved something: %+v", d)
	}
	if d := s.dir(t, s.path("wal")); d.Count != 2 || len(d.Aside) != 0 {
		t.Errorf("a refused request moved something: %+v", d)
	}
}

func testRemoveEntries(t *testing.T, s *suite) {
	s.write(t, host.File{Path: s.path("data", "member", "wal", walFile), Mode: 0o600}, host.File{Path: s.path("data", "theirs"), Mode: 0o600},
		host.File{Path: s.path("ours", "member", "snap", "db"), Mode: 0o400}, host.File{Path: s.path("ours", "a b"), Mode: 0o600},
		host.File{Path: s.path("kept", "member"), Mode: 0o600})
	if _, err := s.h.Aside(t.Context(), host.AsideRequest{Dir: s.path("kept"), Name: "earlier"}); err != nil {
		t.Fatal(err)
	}
	got, err := s.h.Remove(t.Context(), host.RemoveRequest{Entries: []host.Entries{
		{Dir: s.path("data"), Names: []string{"member", "not there"}, Self: true},
		{Dir: s.path("ours"), Names: []string{"member", "a b"}, Self: true},
		{Dir: s.path("kept"), Names: []string{"member"}, Self: true},
		{Dir: s.path("none"), Names: []string{"member"}, Self: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if want := []string{s.path("data", "member"), s.path("ours"), s.path("ours", "a b"), s.path("ours", "member")}; !slices.Equal(got, want) {
		t.Errorf("removed %q, want %q", got, want)
	}
	if d := s.dir(t, s.path("data")); !slices.Equal(d.Entries, []string{"theirs"}) {
		t.Errorf("what is a user's: %+v", d)
	}
	if d := s.dir(t, s.path("kept")); len(d.Aside) != 1 {
		t.Errorf("what was kept: %+v", d)
	}
	for _, name := range []string{"", ".", "..", "a/b", "../data", ".aside", "lost+found", "a\nb"} {
		if _, err := s.h.Remove(t.Context(), host.RemoveRequest{Entries: []host.Entries{{Dir: s.path("kept"), Names: []string{name}}}}); err == nil {
			t.Errorf("%q was removed", name)
		}
	}
	// Self alone removes an empty folder and no other; a user's file in it stays.
	s.write(t, host.File{Path: s.path("empty"), Dir: true, Mode: 0o700})
	got, err = s.h.Remove(t.Context(), host.RemoveRequest{Entries: []host.Entries{{Dir: s.path("empty"), Self: true}, {Dir: s.path("data"), Self: true}}})
	if err != nil || !slices.Equal(got, []string{s.path("empty")}) {
		t.Errorf("removed %q, %v", got, err)
	}
}
