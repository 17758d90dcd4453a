package hosttest

import (
	"slices"
	"testing"

	"quorate/provision/host"
)

func testAside(t *testing.T, s *suite) {
	data := s.path("data")
	member := func() {
		t.Helper()
		s.write(t, host.File{Path: data, Dir: true, Mode: 0o710}, host.File{Path: data + "/lost+found", Dir: true, Mode: 0o700},
			host.File{Path: data + "/member/wal/" + walFile, Mode: 0o600, Content: []byte("log")}, host.File{Path: data + "/.hidden", Mode: 0o600},
			host.File{Path: data + "/a b", Mode: 0o600})
	}
	at := func(name string) string { return data + "/.aside/" + name }
	for _, c := range []struct {
		what  string
		begin func()
		name  string
		only  []string
		moved []string // by this request
		path  string   // "" if nothing is there under that name
		left  []string
	}{
		{"all", member, "20260102T030405Z", nil, []string{".hidden", "a b", "member"}, at("20260102T030405Z"), nil},
		{"once more is nothing more", nil, "20260102T030405Z", nil, nil, at("20260102T030405Z"), nil},
		{"under another name", member, "second", nil, []string{".hidden", "a b", "member"}, at("second"), nil},
		{"what a cut has left", func() { s.write(t, host.File{Path: data + "/late", Mode: 0o600}) }, "second", nil, []string{"late"}, at("second"), nil},
		{"only what is named", member, "third", []string{"member", "none"}, []string{"member"}, at("third"), []string{".hidden", "a b"}},
		{"only nothing", nil, "fourth", []string{}, nil, "", []string{".hidden", "a b"}},
	} {
		if c.begin != nil {
			c.begin()
		}
		got := s.aside(t, host.AsideRequest{Dir: data, Name: c.name, Only: c.only})
		if got.Path != c.path || !slices.Equal(got.Moved, c.moved) {
			t.Errorf("%s: %+v", c.what, got)
		}
		d := s.dir(t, data)
		if !d.Exists || d.Empty != (c.left == nil) || d.Member || d.Mode != 0o710 || !slices.Equal(d.Entries, c.left) || c.path != "" && !slices.Contains(d.Aside, c.path) {
			t.Errorf("%s: afterwards: %+v", c.what, d)
		}
	}
	if d := s.dir(t, data); !slices.Equal(d.Aside, []string{at("20260102T030405Z"), at("second"), at("third")}) {
		t.Errorf("in the end: %+v", d)
	}
	if f := s.file(t, at("20260102T030405Z")+"/member/wal/"+walFile); string(f.Content) != "log" || !s.file(t, data+"/lost+found").Exists {
		t.Errorf("the log is now %+v", f)
	}
	if f := s.file(t, data+"/.aside"); f.Mode != 0o700 {
		t.Errorf("what was moved aside can be seen by others: %+v", f)
	}
	if s.Owner != "" {
		s.write(t, host.File{Path: s.path("theirs"), Dir: true, Mode: 0o700, Owner: s.Owner}, host.File{Path: s.path("theirs", "f"), Mode: 0o600})
		got := s.aside(t, host.AsideRequest{Dir: s.path("theirs"), Name: "x"})
		for _, p := range []string{s.path("theirs", ".aside"), got.Path} {
			if f := s.file(t, p); f.Owner+":"+f.Group != s.Owner {
				t.Errorf("%s belongs to %s:%s", p, f.Owner, f.Group)
			}
		}
	}
	// Nothing there is nothing to do, and nothing is made.
	for _, p := range []string{s.path("none"), s.path("empty")} {
		s.write(t, host.File{Path: s.path("empty"), Dir: true, Mode: 0o700})
		if got := s.aside(t, host.AsideRequest{Dir: p, Name: "x"}); got.Path != "" || len(got.Moved) > 0 {
			t.Errorf("%s: %+v", p, got)
		}
		if d := s.dir(t, p); d.Exists != (p == s.path("empty")) || len(d.Aside) > 0 {
			t.Errorf("%s: %+v", p, d)
		}
	}
}

func testAsideRefused(t *testing.T, s *suite) {
	s.write(t, host.File{Path: s.path("data", "member", "x"), Mode: 0o600}, host.File{Path: s.path("data", "other"), Mode: 0o600},
		host.File{Path: s.path("wal", walFile), Mode: 0o600}, host.File{Path: s.path("wal", "other"), Mode: 0o600})
	s.aside(t, host.AsideRequest{Dir: s.path("data"), Name: "a"})
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
		_, err := s.h.Aside(t.Context(), r)
		s.refused(t, name, err)
	}
	for name, asides := range map[string]int{"data": 1, "wal": 0} {
		if d := s.dir(t, s.path(name)); d.Count != 2 || len(d.Aside) != asides {
			t.Errorf("a refused request moved something: %+v", d)
		}
	}
}

func testRemoveEntries(t *testing.T, s *suite) {
	s.write(t, host.File{Path: s.path("data", "member", "wal", walFile), Mode: 0o600}, host.File{Path: s.path("data", "theirs"), Mode: 0o600},
		host.File{Path: s.path("ours", "member", "snap", "db"), Mode: 0o400}, host.File{Path: s.path("ours", "a b"), Mode: 0o600},
		host.File{Path: s.path("kept", "member"), Mode: 0o600})
	s.aside(t, host.AsideRequest{Dir: s.path("kept"), Name: "earlier"})
	got := s.removed(t, host.RemoveRequest{Entries: []host.Entries{
		{Dir: s.path("data"), Names: []string{"member", "not there"}},
		{Dir: s.path("ours"), Names: []string{"member", "a b"}},
		{Dir: s.path("kept"), Names: []string{"member"}},
		{Dir: s.path("none"), Names: []string{"member"}},
	}, Files: []string{s.path("data"), s.path("ours"), s.path("kept"), s.path("none")}})
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
	// By its own name an empty folder goes and no other; a user's file in it stays.
	s.write(t, host.File{Path: s.path("empty"), Dir: true, Mode: 0o700})
	got = s.removed(t, host.RemoveRequest{Files: []string{s.path("empty"), s.path("data")}})
	if !slices.Equal(got, []string{s.path("empty")}) {
		t.Errorf("removed %q", got)
	}
}
