package hosttest

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"quorate/provision/host"
)

// Shm makes a folder on the memory's own file system, which is another one than that of a test's folders; "" where
// there is none. It goes with the test.
func Shm(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "quorate-test-")
	if err != nil {
		return ""
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// trees are the folders of a member that is moved, and where it goes: on the same file system or, where the
// fixture has one, on another.
func (s *suite) trees(t *testing.T, each func(t *testing.T, from, to host.Tree, copied bool)) {
	for _, c := range []struct {
		name     string
		from, to string
	}{{"member", "member", "member"}, {"its log", "member/wal", "wal"}, {"its log back", "wal", "member/wal"}, {"what was staged", ".staged/member", "member"}} {
		for _, far := range []bool{false, true} {
			if far && s.Elsewhere == "" {
				continue
			}
			name := c.name + " renamed"
			to := s.path(c.name, "to")
			if far {
				name, to = c.name+" copied", s.Elsewhere+"/"+c.name
			}
			t.Run(name, func(t *testing.T) {
				each(t, host.Tree{Dir: s.path(name, "from"), Name: c.from}, host.Tree{Dir: to, Name: c.to}, far)
			})
		}
	}
}

// fill puts something at a tree, as a member's: modes and owners of their own.
func (s *suite) fill(t *testing.T, tree host.Tree) {
	t.Helper()
	p := tree.Path()
	s.write(t, host.File{Path: tree.Dir, Dir: true, Mode: 0o700, Owner: s.Owner}, host.File{Path: p, Dir: true, Mode: 0o710, Owner: s.Owner},
		host.File{Path: p + "/deep", Dir: true, Mode: 0o700, Owner: s.Owner}, host.File{Path: p + "/empty", Dir: true, Mode: 0o755},
		host.File{Path: p + "/deep/" + walFile, Mode: 0o600, Owner: s.Owner, Content: []byte("log")},
		host.File{Path: p + "/.hidden", Mode: 0o640, Content: []byte("x")}, host.File{Path: p + "/a b", Mode: 0o600, Content: []byte{}})
}

// filled sees that what was put at one tree is at another, as it was.
func (s *suite) filled(t *testing.T, was map[string]host.FileState, from, to string) {
	t.Helper()
	for p, f := range was {
		got := s.file(t, to+p[len(from):])
		if got.Type != f.Type || got.Mode != f.Mode || got.Owner != f.Owner || got.Group != f.Group || got.Digest != f.Digest {
			t.Errorf("%s is now %+v, was %+v", p, got, f)
		}
	}
}

func (s *suite) states(t *testing.T, p string) map[string]host.FileState {
	t.Helper()
	var q host.Query
	for _, below := range []string{"", "/deep", "/empty", "/deep/" + walFile, "/.hidden", "/a b"} {
		q.Files = append(q.Files, host.FileQuery{Path: p + below})
	}
	return s.look(t, q).Files
}

func (s *suite) move(t *testing.T, r host.MoveRequest) host.Moved {
	t.Helper()
	m, err := s.h.Move(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testMove(t *testing.T, s *suite) {
	s.trees(t, func(t *testing.T, from, to host.Tree, copied bool) {
		s.fill(t, from)
		s.write(t, host.File{Path: to.Dir + "/lost+found", Dir: true, Mode: 0o700})
		if to.Name == "member/wal" {
			s.write(t, host.File{Path: to.Dir + "/member", Dir: true, Mode: 0o700, Owner: s.Owner})
		}
		s.write(t, host.File{Path: to.Dir, Dir: true, Mode: 0o710, Owner: s.Owner})
		was := s.states(t, from.Path())
		r := host.MoveRequest{From: from, To: to, Keep: "20260102T030405Z", Try: true}
		how, aside := host.Renamed, ""
		if copied {
			how, aside = host.Copied, from.Dir+"/.aside/20260102T030405Z/"+last(from.Name)
		}
		if got := s.move(t, r); got.How != how || got.Aside != "" || s.file(t, to.Path()).Exists || len(s.dir(t, from.Dir).Aside) > 0 {
			t.Fatalf("tried: %+v", got)
		}
		r.Try = false
		if got := s.move(t, r); got.How != how || got.Aside != aside {
			t.Fatalf("%+v", got)
		}
		s.filled(t, was, from.Path(), to.Path())
		if copied {
			s.filled(t, was, from.Path(), aside)
			if f := s.file(t, from.Dir+"/.aside"); f.Mode != 0o700 {
				t.Errorf("what was moved aside can be seen by others: %+v", f)
			}
		}
		if got := s.move(t, r); got.How != host.WasThere || got.Aside != "" {
			t.Errorf("once more: %+v", got)
		}
		if d := s.dir(t, to.Dir); d.Mode != 0o710 || !slices.Equal(d.Entries, []string{first(to.Name)}) || s.Owner != "" && d.Owner+":"+d.Group != s.Owner {
			t.Errorf("where it went: %+v", d)
		}
		if s.file(t, from.Path()).Exists || s.file(t, to.Copy()).Exists || s.file(t, to.Whole()).Exists {
			t.Error("something is left")
		}
	})
}

// What was moved aside comes back by a move, and its folder goes with the last that was in it.
func testMoveBack(t *testing.T, s *suite) {
	dir := s.path("data")
	tree := host.Tree{Dir: dir, Name: "member"}
	cut := host.MoveRequest{From: host.Tree{Dir: dir, Name: host.AsideDir + "/cut/member"}, To: tree, Keep: "k"}
	s.write(t, host.File{Path: dir + "/notes", Mode: 0o600}, host.File{Path: path.Dir(cut.From.Path()), Dir: true, Mode: 0o700})
	s.fill(t, tree)
	was := s.states(t, tree.Path())
	if got := s.move(t, cut); got.How != host.WasThere || s.file(t, path.Dir(cut.From.Path())).Exists {
		t.Errorf("cut before its folder went: %+v, and it is there still", got)
	}
	for kept, entries := range [][]string{{"member"}, {"member", "notes"}} {
		if _, err := s.h.Aside(t.Context(), host.AsideRequest{Dir: dir, Name: "before", Only: entries}); err != nil {
			t.Fatal(err)
		}
		back := host.MoveRequest{From: host.Tree{Dir: dir, Name: host.AsideDir + "/before/member"}, To: tree, Keep: "k"}
		for _, how := range []host.How{host.Renamed, host.WasThere} {
			if got := s.move(t, back); got.How != how {
				t.Errorf("%+v, should be %s", got, how)
			}
			s.filled(t, was, tree.Path(), tree.Path())
			if got := s.dir(t, dir).Aside; len(got) != kept {
				t.Errorf("of %v, aside is %v", entries, got)
			}
		}
	}
}

// What a cut leaves is finished by the same request, under whatever name its time gives it.
func testMoveCut(t *testing.T, s *suite) {
	s.trees(t, func(t *testing.T, from, to host.Tree, copied bool) {
		r := host.MoveRequest{From: from, To: to, Keep: "second"}
		s.write(t, host.File{Path: from.Dir, Dir: true, Mode: 0o700}, host.File{Path: to.Dir, Dir: true, Mode: 0o700})
		if to.Name == "member/wal" {
			s.write(t, host.File{Path: to.Dir + "/member", Dir: true, Mode: 0o700})
		}
		// The copy is whole, and what it was made from is aside.
		s.fill(t, from)
		was := s.states(t, from.Path())
		whole := host.Tree{Dir: to.Dir, Name: to.Name + "-before"}
		s.move(t, host.MoveRequest{From: from, To: whole, Keep: "first"})
		s.rename(t, whole.Path(), to.Whole())
		if got := s.move(t, r); got.How != host.Copied || got.Aside != "" {
			t.Errorf("%+v", got)
		}
		s.filled(t, was, from.Path(), to.Path())
		// A copy was begun, or is whole, and what it is made from is there: that counts.
		s.rename(t, to.Path(), from.Path())
		s.write(t, host.File{Path: to.Copy() + "/half", Mode: 0o600}, host.File{Path: to.Whole() + "/old", Mode: 0o600})
		if got := s.move(t, r); (got.How == host.Copied) != copied {
			t.Errorf("%+v", got)
		}
		s.filled(t, was, from.Path(), to.Path())
		if s.file(t, to.Path()+"/half").Exists || s.file(t, to.Path()+"/old").Exists || s.file(t, to.Copy()).Exists || s.file(t, to.Whole()).Exists {
			t.Error("what was left of the first copy is still there")
		}
	})
}

func testMoveRefused(t *testing.T, s *suite) {
	s.trees(t, func(t *testing.T, from, to host.Tree, copied bool) {
		good := host.MoveRequest{From: from, To: to, Keep: "k"}
		for what, change := range map[string]func(r *host.MoveRequest){
			"neither is there":        func(*host.MoveRequest) {},
			"a name that leads out":   func(r *host.MoveRequest) { r.From.Name = ".." },
			"a name with three parts": func(r *host.MoveRequest) { r.To.Name = "a/b/c" },
			"a hidden name":           func(r *host.MoveRequest) { r.From.Name = ".hidden" },
			"a hidden name below":     func(r *host.MoveRequest) { r.From.Name = "a/.." },
			"no name to keep it by":   func(r *host.MoveRequest) { r.Keep = "" },
			"into itself":             func(r *host.MoveRequest) { r.To = host.Tree{Dir: from.Path(), Name: "x"} },
			"to where it is":          func(r *host.MoveRequest) { r.To = from },
			"no full path":            func(r *host.MoveRequest) { r.From.Dir = "data" },
		} {
			r := good
			change(&r)
			for _, r.Try = range []bool{true, false} {
				_, err := s.h.Move(t.Context(), r)
				s.refused(t, what, err)
			}
		}
		s.fill(t, from)
		_, err := s.h.Move(t.Context(), good)
		s.refused(t, "there is no folder for it", err)
		s.fill(t, to)
		for _, good.Try = range []bool{true, false} {
			_, err = s.h.Move(t.Context(), good)
			s.refused(t, "both are there", err)
		}
		if copied {
			if _, err := s.h.Run(t.Context(), host.Command{Argv: []string{"ln", "-s", "/etc", from.Path() + "/link"}}); err != nil {
				t.Fatal(err)
			}
			s.rename(t, to.Path(), to.Path()+"-away")
			for _, good.Try = range []bool{true, false} {
				_, err = s.h.Move(t.Context(), good)
				s.refused(t, "there is a link in it", err)
			}
		}
		if f := s.states(t, from.Path()); !f[from.Path()+"/deep/"+walFile].Exists || len(s.dir(t, from.Dir).Aside) > 0 {
			t.Errorf("a refused request moved something: %+v", f)
		}
	})
}

// rename gives a folder another name on its file system, as a request that was cut has left it.
func (s *suite) rename(t *testing.T, from, to string) {
	t.Helper()
	if _, err := s.h.Run(t.Context(), host.Command{Argv: []string{"mv", from, to}}); err != nil {
		t.Fatal(err)
	}
}

// first and last are the elements of a tree's name.
func first(name string) string { head, _, _ := strings.Cut(name, "/"); return head }
func last(name string) string  { return path.Base(name) }
