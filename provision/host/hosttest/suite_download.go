package hosttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"quorate/provision/host"
)

// noise is what a file may hold: nothing that compresses, and what an answer has too.
func noise(n int) []byte {
	content := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(content) // never fails
	for i, text := range []string{"size\t1\n", "\nend\n", "fail\tno\nend\n", "missing\nend\n"} {
		if at := i * n / 4; at+len(text) <= n {
			copy(content[at:], text)
		}
	}
	copy(content[max(0, n-5):], "\nend\n")
	return content
}

// put puts a file on the host that may be larger than what is written in a batch.
func (s *suite) put(t *testing.T, name string, content []byte) (p string) {
	t.Helper()
	p = s.path(name)
	s.upload(t, host.Upload{Path: p, Mode: 0o600, Owner: s.Owner, Blob: host.BytesBlob(content)})
	return p
}

// meanwhile is somewhere for bytes to go; what it does with the first of them, it does while the rest is on its way.
type meanwhile struct {
	bytes.Buffer
	first func() error
	once  sync.Once
}

func (m *meanwhile) Write(p []byte) (n int, err error) {
	m.once.Do(func() { err = m.first() })
	if err != nil {
		return 0, err
	}
	return m.Buffer.Write(p)
}

// plenty is more than is on its way at once: what SSH has under way, and the pipes at both ends.
const plenty = 8 << 20

func testDownload(t *testing.T, s *suite) {
	for name, size := range map[string]int{"empty": 0, "one": 1, "small": 4097, "odd name, ü": 300_001} {
		content := noise(size)
		p := s.put(t, name, content)
		for _, from := range []int{0, 1, 4095, 4096, 4097, size / 2, size - 1, size} {
			if from < 0 || from > size {
				continue
			}
			var to bytes.Buffer
			last, told := int64(from), 0
			got, err := s.h.Download(t.Context(), host.Download{Path: p, From: int64(from), To: &to, Progress: func(n, of int64) {
				told++
				if n < last || of != int64(size) || n != int64(from+to.Len()) {
					t.Errorf("%s from %d: %d of %d bytes after %d, and %d are here", name, from, n, of, last, to.Len())
				}
				last = n
			}})
			if err != nil || got.Size != int64(size) || got.Got != int64(size-from) || !bytes.Equal(to.Bytes(), content[from:]) {
				t.Errorf("%s from %d: %+v, %d bytes of %d, %v", name, from, got, to.Len(), size-from, err)
			}
			if last != int64(size) || told == 0 {
				t.Errorf("%s from %d: at last %d bytes, told %d times", name, from, last, told)
			}
		}
	}
	// Others go on beside it.
	content := noise(plenty / 8)
	p := s.put(t, "large", content)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			var to bytes.Buffer
			if _, err := s.h.Download(t.Context(), host.Download{Path: p, To: &to}); err != nil || !bytes.Equal(to.Bytes(), content) {
				t.Errorf("one of four: %d bytes, %v", to.Len(), err)
			}
		})
	}
	s.dir(t, s.Dir)
	all.Wait()
}

func testDownloadRefuses(t *testing.T, s *suite) {
	file := s.put(t, "file", []byte("content"))
	s.write(t, host.File{Path: s.path("dir"), Dir: true, Mode: 0o755})
	for _, argv := range [][]string{{"ln", "-s", file, s.path("link")}, {"ln", "-s", s.path("nothing"), s.path("dangling")}, {"mkfifo", s.path("fifo")}} {
		if _, err := s.h.Run(t.Context(), host.Command{Argv: argv}); err != nil {
			t.Fatal(err)
		}
	}
	for what, tt := range map[string]struct {
		d       host.Download
		want    string // in the error
		missing bool
	}{
		"nothing":              {host.Download{Path: s.path("nothing")}, "", true},
		"below nothing":        {host.Download{Path: s.path("nothing", "file")}, "", true},
		"nothing, by its name": {host.Download{Path: s.path("x: Permission denied")}, "", true},
		"a folder":             {host.Download{Path: s.path("dir")}, "is a folder", false},
		"a link":               {host.Download{Path: s.path("link")}, "is a link", false},
		"a link to nothing":    {host.Download{Path: s.path("dangling")}, "is a link", false},
		"a FIFO":               {host.Download{Path: s.path("fifo")}, "is a FIFO", false},
		"a device":             {host.Download{Path: "/dev/null"}, "is a device", false},
		"from behind its end":  {host.Download{Path: file, From: 8}, "has 7 bytes, and was to be read from byte 8 on", false},
		"from far behind":      {host.Download{Path: file, From: 1 << 50}, "has 7 bytes", false},
		"from before it":       {host.Download{Path: file, From: -1}, "no byte -1", false},
		"no full path":         {host.Download{Path: "file"}, "not absolute", false},
	} {
		var to bytes.Buffer
		tt.d.To = &to
		got, err := s.h.Download(t.Context(), tt.d)
		s.refused(t, what, err)
		if err != nil && (errors.Is(err, fs.ErrNotExist) != tt.missing || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.d.Path)) {
			t.Errorf("%s: %v", what, err)
		}
		if to.Len() > 0 || got.Got != 0 {
			t.Errorf("%s: %d bytes came, %+v", what, to.Len(), got)
		}
	}
	_, err := s.h.Download(t.Context(), host.Download{Path: file})
	s.refused(t, "to nowhere", err)
}

func testDownloadChanges(t *testing.T, s *suite) {
	content, other := noise(plenty), noise(plenty/2)
	second := s.session(t)
	run := func(stdin []byte, argv ...string) error {
		_, err := second.Run(t.Context(), host.Command{Argv: argv, Stdin: stdin})
		return err
	}
	p, short := s.put(t, "file", content), s.put(t, "short", other)
	to := meanwhile{first: func() error { return run(nil, "mv", short, p) }}
	if got, err := s.h.Download(t.Context(), host.Download{Path: p, To: &to}); err != nil || got.Size != plenty || !bytes.Equal(to.Bytes(), content) {
		t.Errorf("another file got its name: %+v, %v", got, err)
	}
	to = meanwhile{first: func() error { return nil }}
	if got, err := s.h.Download(t.Context(), host.Download{Path: p, To: &to}); err != nil || got.Size != plenty/2 || !bytes.Equal(to.Bytes(), other) {
		t.Errorf("the other file: %+v, %v", got, err)
	}
	for what, change := range map[string]func(p string) error{
		"shrank": func(p string) error { return run(nil, "cp", s.path("tiny"), p) },
		"grew":   func(p string) error { return run([]byte("\nend\n"), "tee", "-a", p) },
	} {
		s.put(t, "tiny", []byte("tiny"))
		p := s.put(t, what, content)
		to := meanwhile{first: func() error { return change(p) }}
		got, err := s.h.Download(t.Context(), host.Download{Path: p, To: &to})
		s.refused(t, what, err)
		if err == nil || !strings.Contains(err.Error(), what) || got.Size != plenty || got.Got != int64(to.Len()) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		if !bytes.HasPrefix(content, to.Bytes()) {
			t.Errorf("%s: what came was not the file's", what)
		}
	}
}

func testDownloadEnds(t *testing.T, s *suite) {
	content := noise(plenty)
	p := s.put(t, "file", content)
	full := errors.New("no space left here")
	for what, how := range map[string]func(cancel func()) error{
		"an error of To":     func(func()) error { return full },
		"a context that end": func(cancel func()) error { cancel(); return nil },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		to := meanwhile{first: func() error { return how(cancel) }}
		got, err := s.h.Download(ctx, host.Download{Path: p, To: &to})
		s.refused(t, what, err)
		if !errors.Is(err, full) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
		if n := to.Len(); got.Got != int64(n) || n >= plenty || !bytes.HasPrefix(content, to.Bytes()) {
			t.Errorf("%s: %+v, and %d bytes are here", what, got, n)
		}
		if _, err := s.h.Download(ctx, host.Download{Path: p, To: io.Discard}); errors.Is(err, context.Canceled) != (ctx.Err() != nil) {
			t.Errorf("after %s: %v", what, err)
		}
		cancel()
	}
	// It goes on where it ended.
	var rest bytes.Buffer
	if got, err := s.h.Download(t.Context(), host.Download{Path: p, From: plenty - 70_000, To: &rest}); err != nil || got.Got != 70_000 || !bytes.Equal(rest.Bytes(), content[plenty-70_000:]) {
		t.Errorf("the rest: %+v, %v", got, err)
	}
}

// testDownloadsAndLock: a download needs no lock, and minds none: neither its own session's nor another's.
func testDownloadsAndLock(t *testing.T, s *suite) {
	content := noise(100_000)
	p := s.put(t, "file", content)
	request := host.LockRequest{Path: s.path("lock"), Holder: s.holder("first")}
	unlock := s.lock(t, s.h, request)
	for _, h := range []host.Host{s.h, s.session(t)} {
		var to bytes.Buffer
		if _, err := h.Download(t.Context(), host.Download{Path: p, To: &to}); err != nil || !bytes.Equal(to.Bytes(), content) {
			t.Errorf("%d bytes, %v", to.Len(), err)
		}
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}
