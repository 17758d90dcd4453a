package hosttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"quorate/provision/host"
)

func testWriteAndLook(t *testing.T, s *suite) {
	content := []byte("name: etcd1\n")
	changes := s.write(t,
		host.File{Path: s.path("conf"), Dir: true, Mode: 0o750},
		host.File{Path: s.path("conf", "a.yaml"), Mode: 0o640, Content: content},
		host.File{Path: s.path("conf", "new", "deep", "b.pem"), Mode: 0o600, Content: []byte("b")},
		host.File{Path: s.path("conf", "empty"), Mode: 0o444},
	)
	for _, c := range changes {
		if !c.Changed || c.Stamp == "" {
			t.Errorf("%+v", c)
		}
	}
	if changes[1].Digest != host.Digest(content) || changes[3].Digest != host.Digest(nil) || changes[0].Digest != "" {
		t.Errorf("digests: %+v", changes)
	}
	l := s.look(t, host.Query{Files: []host.FileQuery{
		{Path: s.path("conf")}, {Path: s.path("conf", "a.yaml"), Content: true}, {Path: s.path("conf", "empty"), Content: true},
		{Path: s.path("conf", "new", "deep", "b.pem")}, {Path: s.path("conf", "new")},
	}})
	a := l.Files[s.path("conf", "a.yaml")]
	if !a.Exists || a.Type != "file" || a.Mode != 0o640 || a.Size != int64(len(content)) || a.Digest != host.Digest(content) ||
		a.Stamp != changes[1].Stamp || !bytes.Equal(a.Content, content) || a.Owner == "" || a.Group == "" {
		t.Errorf("a.yaml: %+v", a)
	}
	if e := l.Files[s.path("conf", "empty")]; e.Digest != host.Digest(nil) || e.Content == nil || len(e.Content) != 0 || e.Mode != 0o444 {
		t.Errorf("empty: %+v", e)
	}
	if d := l.Files[s.path("conf")]; d.Type != "dir" || d.Mode != 0o750 || d.Digest != "" {
		t.Errorf("folder: %+v", d)
	}
	if b := l.Files[s.path("conf", "new", "deep", "b.pem")]; b.Mode != 0o600 || b.Content != nil {
		t.Errorf("b.pem: %+v", b)
	}
	if d := l.Files[s.path("conf", "new")]; d.Mode != 0o755 {
		t.Errorf("a parent made on the way has mode %o", d.Mode)
	}
}

func testWriteAgain(t *testing.T, s *suite) {
	files := []host.File{
		{Path: s.path("d"), Dir: true, Mode: 0o700},
		{Path: s.path("d", "f"), Mode: 0o644, Content: []byte("one")},
		{Path: s.path("g"), Mode: 0o600, Content: []byte("two")},
	}
	first := s.write(t, files...)
	for i, c := range s.write(t, files...) {
		if c.Changed || c.Digest != first[i].Digest || c.Path == files[1].Path && c.Stamp != first[i].Stamp {
			t.Errorf("written again: %+v, at first %+v", c, first[i])
		}
	}
	files[2].Content = []byte("2")
	third := s.write(t, files...)
	if third[1].Changed || !third[2].Changed || third[2].Stamp == first[2].Stamp || third[2].Digest != host.Digest([]byte("2")) {
		t.Errorf("after a change: %+v", third)
	}
	if got := s.file(t, files[2].Path); string(got.Content) != "2" || got.Stamp != third[2].Stamp {
		t.Errorf("%+v", got)
	}
}

func testWriteMends(t *testing.T, s *suite) {
	f := host.File{Path: s.path("key"), Mode: 0o600, Content: []byte("k")}
	d := host.File{Path: s.path("dir"), Dir: true, Mode: 0o700}
	wrong := f
	wrong.Mode = 0o644
	wrongDir := d
	wrongDir.Mode = 0o755
	s.write(t, wrong, wrongDir)
	for _, c := range s.write(t, f, d) {
		if !c.Changed {
			t.Errorf("a wrong mode was left: %+v", c)
		}
	}
	if got := s.file(t, f.Path); got.Mode != 0o600 || string(got.Content) != "k" {
		t.Errorf("%+v", got)
	}
	if got := s.file(t, d.Path); got.Mode != 0o700 {
		t.Errorf("%+v", got)
	}
}

func testWriteRefuses(t *testing.T, s *suite) {
	s.write(t, host.File{Path: s.path("isdir"), Dir: true, Mode: 0o755}, host.File{Path: s.path("isfile"), Mode: 0o644})
	for name, f := range map[string]host.File{
		"a folder in the way of a file": {Path: s.path("isdir"), Mode: 0o644},
		"a file in the way of a folder": {Path: s.path("isfile"), Dir: true, Mode: 0o755},
		"a file as a parent":            {Path: s.path("isfile", "x"), Mode: 0o644},
		"a relative path":               {Path: "etc/x", Mode: 0o644},
	} {
		_, err := s.h.Write(t.Context(), host.WriteRequest{Files: []host.File{f}})
		s.refused(t, name, err)
	}
	if !s.dir(t, s.path("isdir")).Empty || s.file(t, s.path("isfile")).Type != "file" {
		t.Error("a refused write left something")
	}
}

func testWriteOdd(t *testing.T, s *suite) {
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	files := []host.File{
		{Path: s.path("with space"), Mode: 0o644, Content: []byte("a\x00b\n\n")},
		{Path: s.path("$(touch nasty)"), Mode: 0o644, Content: []byte("$(touch nasty) `touch nasty`\n")},
		{Path: s.path("-rf"), Mode: 0o644, Content: []byte("\\n\\t%s%d")},
		{Path: s.path("'quoted\""), Mode: 0o644, Content: []byte("'\"'\"")},
		{Path: s.path("glob*?[a]"), Mode: 0o644, Content: []byte("end\nfail\tx\nend\n")},
		{Path: s.path("grüße"), Mode: 0o644, Content: noise},
		{Path: s.path("no newline at the end"), Mode: 0o644, Content: []byte("raw")},
	}
	s.write(t, files...)
	for _, c := range s.write(t, files...) {
		if c.Changed {
			t.Errorf("%q is written anew each time", c.Path)
		}
	}
	var q host.Query
	var paths []string
	for _, f := range files {
		q.Files = append(q.Files, host.FileQuery{Path: f.Path, Content: true})
		paths = append(paths, f.Path)
	}
	l := s.look(t, q)
	for _, f := range files {
		if got := l.Files[f.Path]; !bytes.Equal(got.Content, f.Content) || got.Digest != host.Digest(f.Content) {
			t.Errorf("%q came back as %.60q", f.Path, got.Content)
		}
	}
	if got, err := s.h.Remove(t.Context(), host.RemoveRequest{Files: paths}); err != nil || !slices.Equal(got, paths) {
		t.Errorf("removed %q, %v", got, err)
	}
	if d := s.dir(t, s.Dir); !d.Empty {
		t.Error("something else was made")
	}
	if _, err := s.h.Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: s.Dir + "/a\nb", Mode: 0o644}}}); err == nil {
		t.Error("a path with a line break was taken")
	}
}

func testOwner(t *testing.T, s *suite) {
	if s.Account != "" {
		for range 2 {
			if _, err := s.h.Write(t.Context(), host.WriteRequest{Account: s.Account, Files: []host.File{
				{Path: s.path("theirs"), Dir: true, Mode: 0o700, Owner: s.Account},
				{Path: s.path("their-file"), Mode: 0o600, Owner: s.Account + ":" + s.Account},
			}}); err != nil {
				t.Fatal(err)
			}
		}
		l := s.look(t, host.Query{Accounts: []string{s.Account}, Files: []host.FileQuery{{Path: s.path("theirs")}, {Path: s.path("their-file")}}})
		for p, f := range l.Files {
			if f.Owner != s.Account || f.Group != s.Account {
				t.Errorf("%s is %s:%s", p, f.Owner, f.Group)
			}
		}
		if !l.Accounts[s.Account] {
			t.Error("the account is not there")
		}
	}
	if s.Owner == "" {
		return
	}
	f := host.File{Path: s.path("owned"), Mode: 0o640, Owner: s.Owner}
	s.write(t, host.File{Path: f.Path, Mode: 0o640})
	if c := s.write(t, f); !c[0].Changed {
		t.Error("a wrong owner was left")
	}
	if c := s.write(t, f); c[0].Changed {
		t.Error("the right owner was changed")
	}
	if got := s.file(t, f.Path); got.Owner+":"+got.Group != s.Owner {
		t.Errorf("%+v", got)
	}
	if _, err := s.h.Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: s.path("x"), Mode: 0o600, Owner: "quorate-nobody-has-this"}}}); err == nil {
		t.Error("an owner that is not there was taken")
	}
}

func testKnownStamps(t *testing.T, s *suite) {
	p := s.path("f")
	c := s.write(t, host.File{Path: p, Mode: 0o644, Content: []byte("one")})[0]
	// A digest that cannot be right tells whether the file was read.
	q := host.Query{Files: []host.FileQuery{{Path: p, KnownStamp: c.Stamp, KnownDigest: "known"}}}
	if got := s.look(t, q).Files[p]; got.Digest != "known" {
		t.Errorf("the stamp matches, and yet the file was read: %+v", got)
	}
	s.write(t, host.File{Path: p, Mode: 0o644, Content: []byte("two")})
	if got := s.look(t, q).Files[p]; got.Digest != host.Digest([]byte("two")) {
		t.Errorf("the stamp does not match any more: %+v", got)
	}
}

func testContentLimit(t *testing.T, s *suite) {
	p, big := s.path("big"), make([]byte, host.ContentLimit+1)
	s.upload(t, host.Upload{Path: p, Mode: 0o644, Blob: host.BytesBlob(big)})
	if _, err := s.h.Look(t.Context(), host.Query{Files: []host.FileQuery{{Path: p, Content: true}}}); err == nil {
		t.Error("a look carried more than its limit")
	}
	if got := s.look(t, host.Query{Files: []host.FileQuery{{Path: p}}}).Files[p]; got.Digest != host.Digest(big) {
		t.Errorf("without content: %+v", got)
	}
}

func testUpload(t *testing.T, s *suite) {
	content := bytes.Repeat([]byte("the binary "), 100_000)
	p := s.path("bin", "kvserver")
	var sent, total int64
	u := host.Upload{Path: p, Mode: 0o755, Blob: host.BytesBlob(content), Progress: func(n, of int64) { sent, total = n, of }}
	c := s.upload(t, u)
	if !c.Changed || c.Path != p || c.Digest != host.Digest(content) {
		t.Errorf("%+v", c)
	}
	if sent == 0 || sent != total || total != int64(len(content)) && total > int64(len(content))/10 {
		t.Errorf("sent %d of %d bytes, as they are or compressed, of %d", sent, total, len(content))
	}
	got := s.look(t, host.Query{Files: []host.FileQuery{{Path: p}}}).Files[p]
	if got.Digest != host.Digest(content) || got.Mode != 0o755 || got.Stamp != c.Stamp || got.Size != int64(len(content)) {
		t.Errorf("%+v", got)
	}
	sent = 0
	if c = s.upload(t, u); c.Changed || c.Digest != host.Digest(content) || c.Stamp != got.Stamp || sent != 0 {
		t.Errorf("again: %+v, %d bytes sent", c, sent)
	}
	u.Mode = 0o700
	if c = s.upload(t, u); !c.Changed || sent != 0 {
		t.Errorf("another mode: %+v, %d bytes sent", c, sent)
	}
	u.Blob = host.BytesBlob([]byte("#!/bin/sh\n"))
	if c = s.upload(t, u); !c.Changed {
		t.Errorf("another content: %+v", c)
	}
	if got = s.file(t, p); string(got.Content) != "#!/bin/sh\n" || got.Mode != 0o700 {
		t.Errorf("%+v", got)
	}
	s.alone(t, s.path("bin"), p)
}

// testUploadNew: what was not there when it was looked at is sent at once, and what lies there by now counts.
func testUploadNew(t *testing.T, s *suite) {
	content := bytes.Repeat([]byte("the binary "), 90_000)
	p := s.path("bin", "kvserver")
	u := host.Upload{Path: p, Mode: 0o755, Blob: host.BytesBlob(content), New: true}
	if c := s.upload(t, u); !c.Changed || c.Digest != host.Digest(content) {
		t.Fatalf("%+v", c)
	}
	before := s.file(t, p)
	if c := s.upload(t, u); c.Changed || c.Stamp != before.Stamp {
		t.Errorf("somebody had put it there: %+v", c)
	}
	u.Blob = host.BytesBlob([]byte("another"))
	if c := s.upload(t, u); !c.Changed || s.file(t, p).Digest != host.Digest([]byte("another")) {
		t.Errorf("somebody had put something else there: %+v", c)
	}
	s.write(t, host.File{Path: s.path("dir"), Dir: true, Mode: 0o755})
	if _, err := s.h.Upload(t.Context(), host.Upload{Path: s.path("dir"), Mode: 0o755, Blob: u.Blob, New: true}); err == nil {
		t.Error("a folder was replaced")
	}
	s.alone(t, s.path("bin"), p)
}

// alone checks that a folder holds nothing but a file.
func (s *suite) alone(t *testing.T, dir, file string) {
	t.Helper()
	s.removed(t, host.RemoveRequest{Files: []string{file}})
	if d := s.dir(t, dir); d.Exists && !d.Empty {
		t.Errorf("something was left in %s", dir)
	}
}

// lyingBlob has another digest than its content.
type lyingBlob struct{ host.Blob }

func (lyingBlob) Digest() string { return host.Digest([]byte("something else")) }

func testUploadRefuses(t *testing.T, s *suite) {
	p := s.path("bin", "f")
	s.write(t, host.File{Path: p, Mode: 0o755, Content: []byte("old")}, host.File{Path: s.path("dir"), Dir: true, Mode: 0o755})
	blob := host.BytesBlob([]byte("new"))
	if _, err := s.h.Upload(t.Context(), host.Upload{Path: p, Mode: 0o755, Blob: lyingBlob{blob}}); err == nil {
		t.Error("a wrong digest was taken")
	}
	if got := s.file(t, p); string(got.Content) != "old" {
		t.Errorf("a refused upload changed the file: %+v", got)
	}
	if _, err := s.h.Upload(t.Context(), host.Upload{Path: s.path("dir"), Mode: 0o755, Blob: blob}); err == nil {
		t.Error("a folder was replaced")
	}
	s.alone(t, s.path("bin"), p)
}

// stuckBlob gives half of its stream, then cancels.
type stuckBlob struct {
	host.Blob
	cancel func()
}

func (b stuckBlob) Compressed() (io.ReadCloser, int64, error) {
	r, n, err := b.Blob.Compressed()
	return b.stuck(r, n), n, err
}

func (b stuckBlob) Open() (io.ReadCloser, error) {
	r, err := b.Blob.Open()
	return b.stuck(r, b.Size()), err
}

func (b stuckBlob) stuck(r io.ReadCloser, n int64) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, n/2), readerFunc(func([]byte) (int, error) {
		b.cancel()
		return 0, context.Canceled
	})), r}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func testUploadCancelled(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	content := []byte(fmt.Sprint(make([]int, 100_000)))
	_, err := s.h.Upload(ctx, host.Upload{Path: s.path("bin", "f"), Mode: 0o755, Blob: stuckBlob{host.BytesBlob(content), cancel}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	s.alone(t, s.path("bin"), s.path("bin", "f"))
	s.upload(t, host.Upload{Path: s.path("bin", "f"), Mode: 0o755, Blob: host.BytesBlob(content)})
}

func testRemove(t *testing.T, s *suite) {
	s.write(t, host.File{Path: s.path("f"), Mode: 0o644}, host.File{Path: s.path("full", "x"), Mode: 0o644},
		host.File{Path: s.path("empty"), Dir: true, Mode: 0o755}, host.File{Path: s.path("tree", "a", "b"), Mode: 0o444})
	got := s.removed(t, host.RemoveRequest{
		Files:   []string{s.path("f"), s.path("none"), s.path("full"), s.path("empty"), s.path("f", "below")},
		Entries: []host.Entries{{Dir: s.path(), Names: []string{"tree", "no tree"}}},
	})
	if want := []string{s.path("empty"), s.path("f"), s.path("tree")}; !slices.Equal(got, want) {
		t.Errorf("removed %q, want %q", got, want)
	}
	if !s.file(t, s.path("full", "x")).Exists {
		t.Error("a full folder was removed")
	}
	if got := s.removed(t, host.RemoveRequest{}); len(got) > 0 {
		t.Errorf("nothing: %q", got)
	}
}
