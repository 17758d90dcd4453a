package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// binary is the beginning of an executable: the 64 bytes of an ELF header
// (man 5 elf), which is all that is looked at, and some body.
func binary(machine byte) []byte {
	b := make([]byte, 64+1000)
	copy(b, "\x7fELF\x02\x01\x01") // 64 bit, little endian
	b[16], b[18], b[20] = 2, machine, 1
	b[52], b[54], b[58] = 64, 56, 64
	for i := range 1000 {
		b[64+i] = byte(i * 7)
	}
	return b
}

const (
	amd64 = 0x3e
	arm64 = 0xb7
)

type entry struct {
	name, body string
	kind       byte
}

func tarball(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o755, Typeflag: e.kind, Size: int64(len(e.body))}
		if e.kind == tar.TypeSymlink {
			h.Linkname, h.Size, e.body = e.body, 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(e.body))
	}
	w.Close()
	z.Close()
	return b.Bytes()
}

func zipped(t *testing.T, name string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(body)
	w.Close()
	return b.Bytes()
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func TestFetch(t *testing.T) {
	t.Parallel()
	etcd := binary(amd64)
	official := tarball(t,
		entry{"etcd-v3.6.11-linux-amd64/", "", tar.TypeDir},
		entry{"etcd-v3.6.11-linux-amd64/README.md", "# etcd", tar.TypeReg},
		entry{"etcd-v3.6.11-linux-amd64/etcdctl", "not this", tar.TypeReg},
		entry{"etcd-v3.6.11-linux-amd64/etcd", string(etcd), tar.TypeReg},
	)
	for name, tc := range map[string]struct {
		file  []byte
		sum   string
		arch  string
		serve http.HandlerFunc
		want  string // of the error; "" is success
		goos  string
	}{
		"official archive": {file: official},
		"zip":              {file: zipped(t, "etcd-v3.6.11/etcd", etcd)},
		"bare binary":      {file: etcd},
		"sum in capitals":  {file: etcd, sum: strings.ToUpper(sum(etcd))},
		"arm64":            {file: binary(arm64), arch: "arm64"},

		"wrong sum":          {file: official, sum: strings.Repeat("0", 64), want: "its sha256 is " + sum(official)},
		"sum is none":        {file: official, sum: "abc", want: `sha256 "abc" is not 64 hex digits`},
		"other architecture": {file: official, arch: "arm64", want: "is for EM_X86_64, not for arm64"},
		"unknown one":        {file: official, arch: "riscv64", want: `architecture "riscv64"`},
		"other system":       {file: official, goos: "darwin", want: "no macOS executable"},
		"no etcd in it":      {file: tarball(t, entry{"a/etcdctl", "x", tar.TypeReg}), want: "no file named etcd"},
		"etcd is a link":     {file: tarball(t, entry{"a/etcd", "/bin/sh", tar.TypeSymlink}), want: "no file named etcd"},
		"etcd is a script":   {file: tarball(t, entry{"etcd", "#!/bin/sh\n", tar.TypeReg}), want: "no Linux executable"},
		"damaged archive":    {file: official[:len(official)-30], want: "unexpected EOF"},
		"text":               {file: []byte("hello, world"), want: "neither a .tar.gz nor a .zip"},
		"empty":              {file: nil, want: "not even four bytes"},
		"climbing name":      {file: tarball(t, entry{"../../../etcd", string(etcd), tar.TypeReg})}, // taken, and goes nowhere else

		"not found": {file: official, serve: http.NotFound, want: "404 Not Found"},
		"a page in place of a file": {file: official, serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<html>Sign in</html>")
		}, want: "the server says that it is text/html"},
		"truncated": {file: official, serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(official)))
			w.Write(official[:100])
		}, want: "unexpected EOF"},
		"oversized": {file: official, serve: func(w http.ResponseWriter, r *http.Request) {
			zeros := make([]byte, 1<<20)
			for range 600 {
				if _, err := w.Write(zeros); err != nil {
					return
				}
			}
		}, want: "larger than 512 MB"},
	} {
		for _, way := range []string{"http", "path"} {
			if tc.serve != nil && way == "path" {
				continue
			}
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				cache := filepath.Join(t.TempDir(), "cache")
				f := &Fetcher{Cache: cache, Dir: t.TempDir()}
				s := Source{URL: "release", SHA256: tc.sum}
				if s.SHA256 == "" {
					s.SHA256 = sum(tc.file)
				}
				var asked atomic.Int32
				if way == "http" {
					serve := tc.serve
					if serve == nil {
						serve = func(w http.ResponseWriter, _ *http.Request) { w.Write(tc.file) }
					}
					srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); serve(w, r) }))
					t.Cleanup(srv.Close)
					s.URL, f.Client = srv.URL, srv.Client()
				} else if err := os.WriteFile(filepath.Join(f.Dir, "release"), tc.file, 0o644); err != nil {
					t.Fatal(err)
				}
				goos, arch := "linux", "amd64"
				if tc.arch != "" {
					arch = tc.arch
				}
				if tc.goos != "" {
					goos = tc.goos
				}
				// A look first: nothing is there yet, asked for or written.
				if have, err := f.Cached(s, goos, arch); have.Path != "" || err != nil && len(s.SHA256) == 64 {
					t.Errorf("cached before it was fetched: %v, %v", have, err)
				}
				if _, err := os.Stat(cache); asked.Load() > 0 || err == nil {
					t.Errorf("a look asked %d times, or wrote", asked.Load())
				}
				got, err := f.Fetch(t.Context(), s, goos, arch, nil)
				if tc.want != "" {
					if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), s.URL) {
						t.Errorf("got %v, want %q", err, tc.want)
					}
				} else {
					if err != nil {
						t.Fatal(err)
					}
					content, err := os.ReadFile(got.Path)
					if want := binary(map[string]byte{"amd64": amd64, "arm64": arm64}[arch]); err != nil || !bytes.Equal(content, want) || got.SHA256 != sum(want) {
						t.Errorf("%d bytes of sha256 %s, %v", len(content), got.SHA256, err)
					}
					if digest, err := f.Verify(s); err != nil || digest != got.SHA256 {
						t.Errorf("verified: %s, %v", digest, err)
					}
					if info, _ := os.Stat(got.Path); info.Mode().Perm() != 0o755 {
						t.Errorf("mode %v", info.Mode())
					}
					// Again: out of the cache, also when the source is gone.
					os.Remove(filepath.Join(f.Dir, "release"))
					if have, err := f.Cached(s, goos, arch); err != nil || have != got {
						t.Errorf("cached: %v, %v", have, err)
					}
					if again, err := f.Fetch(t.Context(), s, goos, arch, nil); err != nil || again != got || asked.Load() > 1 {
						t.Errorf("%v %v, asked %d times", again, err, asked.Load())
					}
				}
				// Whatever happened: nothing half-made, nothing outside.
				filepath.WalkDir(filepath.Dir(cache), func(p string, d os.DirEntry, err error) error {
					if err == nil && !d.IsDir() && !slices.Contains([]string{"archive", "etcd", "etcd.sha256"}, d.Name()) {
						t.Errorf("left behind: %s", p)
					}
					return err
				})
			})
		}
	}
}

// Whatever is exchanged in the cache, it is found and named before the binary is used. What is missing there is fetched again.
func TestVerify(t *testing.T) {
	t.Parallel()
	etcd, other := binary(amd64), append(binary(amd64), "and more"...)
	archive := tarball(t, entry{"a/etcd", string(etcd), tar.TypeReg})
	for name, tc := range map[string]struct {
		put  map[string][]byte // nil: it is removed
		want string            // of the error
	}{
		"the binary":               {map[string][]byte{"etcd": other}, "etcd has the sha256 " + sum(other) + " and not " + sum(etcd)},
		"the binary and its note":  {map[string][]byte{"etcd": other, "etcd.sha256": []byte(sum(other))}, "etcd has the sha256 " + sum(other) + " and not " + sum(etcd)},
		"all of it":                {map[string][]byte{"archive": other, "etcd": other, "etcd.sha256": []byte(sum(other))}, "archive has the sha256 " + sum(other) + " and not the spec's " + sum(archive)},
		"the archive, by its like": {map[string][]byte{"archive": tarball(t, entry{"b/etcd", string(etcd), tar.TypeReg})}, "not the spec's " + sum(archive)},
		"no archive":               {map[string][]byte{"archive": nil}, "no such file"},
		"no note":                  {map[string][]byte{"etcd.sha256": nil}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &Fetcher{Cache: t.TempDir(), Dir: t.TempDir()}
			s := Source{URL: "release", SHA256: sum(archive)}
			if err := os.WriteFile(filepath.Join(f.Dir, "release"), archive, 0o644); err != nil {
				t.Fatal(err)
			}
			fetch := func() {
				t.Helper()
				if b, err := f.Fetch(t.Context(), s, "linux", "amd64", nil); err != nil || b.SHA256 != sum(etcd) {
					t.Fatalf("%v, %v", b, err)
				}
			}
			fetch()
			missing := false
			for name, content := range tc.put {
				path := filepath.Join(f.Cache, s.SHA256, name)
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if missing = content == nil; missing {
					continue
				}
				if err := os.WriteFile(path, content, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := f.Verify(s); tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), f.Cache)) || tc.want == "" && err != nil {
				t.Errorf("%v", err)
			}
			if !missing {
				return
			}
			if have, err := f.Cached(s, "linux", "amd64"); have.Path != "" || err != nil {
				t.Errorf("cached: %v, %v", have, err)
			}
			fetch()
			if got, err := f.Verify(s); err != nil || got != sum(etcd) {
				t.Errorf("fetched again: %s, %v", got, err)
			}
		})
	}
}

// A look at a path where the file is not, or is another one, says so before anything is done.
func TestOffered(t *testing.T) {
	t.Parallel()
	f := &Fetcher{Cache: filepath.Join(t.TempDir(), "cache"), Dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(f.Dir, "etcd.tar.gz"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := sum([]byte("x"))
	for _, tc := range []struct{ url, sum, want string }{
		{"etcd.tar.gz", x, ""}, {"file://" + f.Dir + "/etcd.tar.gz", strings.ToUpper(x), ""}, {"https://mirror.example/etcd.tar.gz", x, ""},
		{"other.tar.gz", x, "no such file"}, {"file:///nowhere/etcd.tar.gz", x, "no such file"}, {"etcd.tar.gz", strings.Repeat("0", 64), "its sha256 is " + x},
	} {
		err := f.Offered(t.Context(), Source{URL: tc.url, SHA256: tc.sum})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", tc.url, err, tc.want)
		}
	}
	if _, err := os.Stat(f.Cache); err == nil {
		t.Error("a look wrote into the cache")
	}
}

// Three hosts that want the same release at once share one download, and each hears of an end.
func TestShared(t *testing.T) {
	t.Parallel()
	etcd := binary(amd64)
	var asked atomic.Int32
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		<-release
		w.Write(etcd)
	}))
	defer srv.Close()
	f := &Fetcher{Cache: t.TempDir(), Client: srv.Client()}
	s := Source{URL: srv.URL, SHA256: sum(etcd)}
	var wg sync.WaitGroup
	var heard atomic.Int64
	for range 3 {
		wg.Go(func() {
			if _, err := f.Fetch(t.Context(), s, "linux", "amd64", func(got, all int64) { heard.Store(got) }); err != nil {
				t.Error(err)
			}
		})
	}
	close(release)
	wg.Wait()
	if asked.Load() != 1 || heard.Load() != int64(len(etcd)) {
		t.Errorf("asked %d times, heard of %d bytes", asked.Load(), heard.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Fetch(ctx, Source{URL: srv.URL + "/other", SHA256: strings.Repeat("a", 64)}, "linux", "amd64", nil); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("%v", err)
	}
}
