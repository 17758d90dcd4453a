package posix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quorate/provision/host"
)

// speaker answers every script alike: in pieces of a size (0: all at once), with an exit code, and words on standard error.
type speaker struct {
	canned
	piece  int
	exit   int
	stderr string
	err    error // of the connection
}

func (s *speaker) Exec(_ context.Context, _ []string, _ io.Reader, stdout, stderr io.Writer) (int, error) {
	_, _ = io.WriteString(stderr, s.stderr)
	for left := s.answer; len(left) > 0; {
		n := len(left)
		if s.piece > 0 {
			n = min(n, s.piece)
		}
		if _, err := stdout.Write(left[:n]); err != nil {
			return -1, err
		}
		left = left[n:]
	}
	return s.exit, s.err
}

// TestDownloadAnswers: only what says its size, brings that many bytes and ends well is a file, in whatever pieces it
// comes; what came of another is known.
func TestDownloadAnswers(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection lost")
	for what, tt := range map[string]struct {
		answer string
		from   int64
		exit   int
		stderr string
		err    error
		want   string // error; "" is none
		got    string
	}{
		"a file":                       {answer: "size\t5\nab\ncd", got: "ab\ncd"},
		"an empty file":                {answer: "size\t0\n"},
		"a file that ends as answers":  {answer: "size\t5\n\nend\n", got: "\nend\n"},
		"the rest of one":              {answer: "size\t5\ncd", from: 3, got: "cd"},
		"nothing of one":               {answer: "size\t5\n", from: 5},
		"nothing":                      {answer: "", want: "its answer was cut short"},
		"an end":                       {answer: "end\n", want: "cannot understand the answer"},
		"cut in the size":              {answer: "size\t5", want: "its answer was cut short"},
		"cut behind the size":          {answer: "size\t5\n", want: "it shrank while it was read: the last 5 of 5 bytes"},
		"cut in the file":              {answer: "size\t5\nabc", got: "abc", want: "the last 2 of 5 bytes were not there"},
		"cut, and the code says so":    {answer: "size\t5\nabc", exit: 1, stderr: "cat: Input/output error", got: "abc", want: "ended with code 1: cat: Input/output error"},
		"cut, and only the code says":  {answer: "size\t5\nabc", exit: -1, got: "abc", want: "ended with code -1: the last 2 of 5 bytes did not come"},
		"whole, and the code is wrong": {answer: "size\t5\nabcde", exit: 1, got: "abcde", want: "ended with code 1"},
		"whole, and the connection":    {answer: "size\t5\nabcde", err: lost, got: "abcde", want: "connection lost"},
		"a byte more":                  {answer: "size\t5\nabcdef", got: "abcde", want: "it grew while it was read"},
		"more from the end":            {answer: "size\t5\nf", from: 5, want: "it grew while it was read"},
		"smaller than it was":          {answer: "size\t5\n", from: 6, want: "cannot understand"},
		"a size that is none":          {answer: "size\t-5\n", want: "cannot understand"},
		"a size with more":             {answer: "size\t5 \nabcde", want: "cannot understand"},
		"a size beyond all":            {answer: "size\t9223372036854775808\n", want: "cannot understand"},
		"the size later":               {answer: "x\nsize\t5\nabcde", want: "its answer was cut short"},
		"missing":                      {answer: "missing\nend\n", want: "file does not exist"},
		"missing and more":             {answer: "missing\nx\nend\n", want: "cannot understand"},
		"missing, and cut":             {answer: "missing\n", want: "its answer was cut short"},
		"a refusal":                    {answer: "fail\t/f is a link\nend\n", want: "/f is a link"},
		"a refusal of two lines":       {answer: "fail\ta\nfail\tb\nend\n", want: "a; b"},
		"a shell's last words":         {answer: "", exit: 2, stderr: "sh: cannot open /f", want: "ended with code 2: sh: cannot open /f"},
	} {
		for _, piece := range []int{0, 1, 3} {
			var to bytes.Buffer
			s := &speaker{canned: canned{[]byte(tt.answer)}, piece: piece, exit: tt.exit, stderr: tt.stderr, err: tt.err}
			got, err := New(s, options("/")).Download(t.Context(), host.Download{Path: "/f", From: tt.from, To: &to})
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), `cannot download "/f" from host "h1": `)) {
				t.Errorf("%s, in pieces of %d: %v, want %q", what, piece, err, tt.want)
			}
			if to.String() != tt.got || got.Got != int64(len(tt.got)) {
				t.Errorf("%s, in pieces of %d: %q came, %+v", what, piece, to.String(), got)
			}
			if errors.Is(err, fs.ErrNotExist) != (what == "missing") || tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// silent begins a file and then says nothing any more.
type silent struct {
	canned
	ended chan struct{}
}

func (s *silent) Exec(ctx context.Context, _ []string, _ io.Reader, stdout, _ io.Writer) (int, error) {
	if _, err := stdout.Write(s.answer); err != nil {
		return -1, err
	}
	<-ctx.Done()
	close(s.ended)
	return -1, ctx.Err()
}

// TestDownloadThatStandsStill: it is given up for that, however far it is, and not before its time.
func TestDownloadThatStandsStill(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "size\t5\n", "size\t5\nabc"} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, err := New(&silent{canned{[]byte(answer)}, make(chan struct{})}, options("/")).Download(t.Context(), host.Download{Path: "/f", To: io.Discard})
			if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "nothing has moved for 5m0s") || took < stalled || took > 2*stalled {
				t.Errorf("after %q: %v, in %s", answer, err, took)
			}
		})
	}
	// One that goes on, however slowly, may take all day.
	synctest.Test(t, func(t *testing.T) {
		var to bytes.Buffer
		content := strings.Repeat("x", 300)
		d := host.Download{Path: "/f", To: &to, Progress: func(int64, int64) { time.Sleep(stalled - time.Second) }}
		if _, err := New(&speaker{canned: canned{[]byte("size\t300\n" + content)}, piece: 1}, options("/")).Download(t.Context(), d); err != nil || to.String() != content {
			t.Errorf("%d bytes, %v", to.Len(), err)
		}
	})
}

// stubborn goes on writing for a while when its context is over, as a transport may that is still reading.
type stubborn struct {
	canned
	more chan error // what came of that
}

func (s *stubborn) Exec(ctx context.Context, _ []string, _ io.Reader, stdout, _ io.Writer) (int, error) {
	_, err := stdout.Write(s.answer)
	<-ctx.Done()
	go func() {
		for err == nil {
			_, err = stdout.Write([]byte("x"))
		}
		s.more <- err
	}()
	return -1, ctx.Err()
}

// TestNothingComesAfterADownload: once it has returned nobody writes to To, which may be closed by then.
func TestNothingComesAfterADownload(t *testing.T) {
	t.Parallel()
	for _, mine := range []error{nil, io.ErrNoProgress} {
		ctx, cancel := context.WithCancel(t.Context())
		returned, came := make(chan struct{}), 0
		s := &stubborn{canned{[]byte("size\t1000\nab")}, make(chan error, 1)}
		got, err := New(s, options("/")).Download(ctx, host.Download{Path: "/f", To: writerFunc(func(p []byte) (int, error) {
			select {
			case <-returned:
				t.Error("somebody wrote afterwards")
			default:
			}
			came += len(p)
			if mine == nil {
				cancel()
			}
			return len(p), mine
		})})
		close(returned)
		if want := map[bool]error{true: context.Canceled, false: mine}[mine == nil]; !errors.Is(err, want) || got.Got != int64(came) {
			t.Errorf("%v, want %v; %+v of %d bytes", err, want, got, came)
		}
		if err := <-s.more; err == nil {
			t.Error("who goes on is not told")
		}
		cancel()
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestDownloadTakesNoMemory: what is allocated does not depend on the file's size.
func TestDownloadTakesNoMemory(t *testing.T) {
	const size = 64 << 20
	s := &flowing{size: size}
	n := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := New(s, options("/")).Download(t.Context(), host.Download{Path: "/f", To: writerFunc(func(p []byte) (int, error) { n += len(p); return len(p), nil })})
	runtime.ReadMemStats(&after)
	if err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("a file of 64 MiB took %d KiB of memory", used>>10)
	}
}

// flowing gives a large file that is nowhere.
type flowing struct {
	canned
	size int
}

func (f *flowing) Exec(_ context.Context, _ []string, _ io.Reader, stdout, _ io.Writer) (int, error) {
	_, err := fmt.Fprintf(stdout, "size\t%d\n", f.size)
	for b, left := make([]byte, 32<<10), f.size; err == nil && left > 0; left -= len(b) {
		_, err = stdout.Write(b)
	}
	return 0, err
}

// TestDownloadOfWhatIsPutInItsPlace: between looking and opening somebody exchanges the file; what is not the file that
// was looked at is not read, a link's target least of all.
func TestDownloadOfWhatIsPutInItsPlace(t *testing.T) {
	each(t, func(t *testing.T, s shell, root string) {
		secret, file := filepath.Join(root, "secret"), filepath.Join(root, "dir", "file")
		bin := filepath.Join(root, "bin")
		stat, err := lookPath("stat", s.path)
		if err != nil {
			t.Fatal(err)
		}
		// The first stat is slow enough for somebody who has waited for it.
		script := "#!/bin/sh\n" + stat + " \"$@\"\ncode=$?\n[ -e " + root + "/once ] || { : >" + root + "/once; ln -sf " + secret + " " + file + "; }\nexit $code\n"
		for _, err := range []error{
			os.Mkdir(bin, 0o755), os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(secret, []byte("secret"), 0o600), os.WriteFile(file, []byte("a file"), 0o600),
			os.WriteFile(filepath.Join(bin, "stat"), []byte(script), 0o755),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		s.path = bin + ":" + s.path
		var to bytes.Buffer
		h := New(&s, options(root))
		if _, err := h.Download(t.Context(), host.Download{Path: file, To: &to}); err == nil || !strings.Contains(err.Error(), "was replaced while it was opened; try again") || to.Len() > 0 {
			t.Errorf("%q, %v", to.String(), err)
		}
	})
}

// lookPath finds a program in a path as a shell does.
func lookPath(name, path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("there is no %s in %s", name, path)
}

// TestDownloadFromFarBehind: what comes before is not read, whatever the tools of the host are.
func TestDownloadFromFarBehind(t *testing.T) {
	each(t, func(t *testing.T, s shell, root string) {
		const size = int64(1) << 40 // reading that takes minutes
		file := filepath.Join(root, "sparse")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("the end"), size-7); err != nil {
			t.Skipf("no file of 1 TiB can be made here: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var to bytes.Buffer
		if got, err := New(&s, options(root)).Download(ctx, host.Download{Path: file, From: size - 7, To: &to}); err != nil || to.String() != "the end" || got.Size != size {
			t.Errorf("%q, %+v, %v", to.String(), got, err)
		}
	})
}
