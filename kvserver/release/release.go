// Package release fetches an upstream etcd release to the operator's side: an
// archive or a bare binary, from a path or over http(s), checked against the
// sha256 that the spec names, and kept in a cache folder. What comes out is
// the path of one executable for the wanted system.
//
// The cache keeps for each source, below its sha256: archive (the file as it came), etcd (the
// binary out of it) and etcd.sha256 (that one's digest, so that a look need not read the
// archive). Only the archive can be held against the spec: see [Fetcher.Verify].
//
// Nothing is run, and no name inside an archive ever becomes a path.
package release

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sync/singleflight"
)

// Source is one file: an archive (.tar.gz, .tgz, .zip; told by its content) or
// a bare binary.
type Source struct {
	// URL is http(s)://…, file://… or a path.
	URL string
	// SHA256 of the file at URL, 64 hex digits.
	SHA256 string
}

// Fetcher fetches releases into one cache folder. It may be used from many
// goroutines; the same source is then fetched once.
type Fetcher struct {
	// Dir is where relative paths start from.
	Dir string
	// Cache is the folder for what was fetched; made if missing.
	Cache string
	// Client for http(s); its timeouts, proxies and roots count.
	Client *http.Client

	once singleflight.Group
}

// Bounds on what is taken from elsewhere: etcd's archives are 20 to 30 MB and
// its binary about as much; ten times that is somebody's mistake, or worse.
const (
	largestArchive = 512 << 20
	largestBinary  = 512 << 20
)

var hexSum = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// Binary is an etcd binary in the cache.
type Binary struct {
	Path string
	// SHA256 is its digest as it came out of its archive, 64 hex digits. Whether the file still
	// has it is for the caller to find out.
	SHA256 string
}

// Cached returns the etcd binary out of s if an earlier Fetch has put it into the
// cache; the zero value if not. It fetches and writes nothing.
func (f *Fetcher) Cached(s Source, goos, goarch string) (Binary, error) {
	b, err := f.cached(s)
	if err == nil && b.Path != "" {
		err = executable(b.Path, goos, goarch)
	}
	if err != nil {
		return Binary{}, fmt.Errorf("cannot take etcd for %s/%s from %q: %w", goos, goarch, s.URL, err)
	}
	return b, nil
}

// cached is what lies in the cache for a source: all three files, or nothing.
func (f *Fetcher) cached(s Source) (Binary, error) {
	if !hexSum.MatchString(s.SHA256) {
		return Binary{}, fmt.Errorf("sha256 %q is not 64 hex digits", s.SHA256)
	}
	for _, name := range []string{archiveFile, binaryFile} {
		if _, err := os.Stat(f.place(s, name)); errors.Is(err, fs.ErrNotExist) {
			return Binary{}, nil
		} else if err != nil {
			return Binary{}, err
		}
	}
	noted, err := os.ReadFile(f.place(s, noteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Binary{}, nil
	}
	return Binary{Path: f.place(s, binaryFile), SHA256: strings.TrimSpace(string(noted))}, err
}

// Verify reads the archive of s in the cache and the binary beside it again, and returns the digest of
// the binary, which is that of the one in the archive of the spec's sha256. Otherwise
// the error names the file that was exchanged. A look need not call it: who is about to use the binary must.
func (f *Fetcher) Verify(s Source) (digest string, err error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("cannot trust etcd in the cache: %w\n  find out who changed it; without the folder %s it is fetched again", err, filepath.Dir(f.place(s, binaryFile)))
	}
	archive, err := os.Open(f.place(s, archiveFile))
	if err != nil {
		return fail(err)
	}
	defer archive.Close()
	if got, err := sha256Of(archive); err != nil {
		return fail(err)
	} else if want := strings.ToLower(s.SHA256); got != want {
		return fail(fmt.Errorf("%s has the sha256 %s and not the spec's %s", archive.Name(), got, want))
	}
	h := sha256.New()
	if err := extract(archive, h); err != nil {
		return fail(err)
	}
	want := hex.EncodeToString(h.Sum(nil))
	binary, err := os.Open(f.place(s, binaryFile))
	if err != nil {
		return fail(err)
	}
	defer binary.Close()
	if got, err := sha256Of(binary); err != nil {
		return fail(err)
	} else if got != want {
		return fail(fmt.Errorf("%s has the sha256 %s and not %s, as it came out of its archive", binary.Name(), got, want))
	}
	return want, nil
}

// sha256Of is the sha256 of what r has, hex.
func sha256Of(r io.Reader) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), err
}

// Offered reports why a source cannot be fetched, as far as that can be seen without asking
// anybody: a path at which nothing lies, or another file than the one that is named. nil: Fetch may be tried.
func (f *Fetcher) Offered(ctx context.Context, s Source) error {
	if remote(s.URL) {
		return nil
	}
	return f.get(ctx, s.URL, strings.ToLower(s.SHA256), io.Discard, nil)
}

func remote(url string) bool {
	return strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://")
}

// The files of a source in the cache.
const (
	archiveFile = "archive"
	binaryFile  = "etcd"
	noteFile    = "etcd.sha256"
)

// place is where a file of a source is kept.
func (f *Fetcher) place(s Source, name string) string {
	return filepath.Join(f.Cache, strings.ToLower(s.SHA256), name)
}

// Fetch returns the etcd binary out of s, which is for system
// goos/goarch ("linux", "arm64"). progress, if not nil, hears of the bytes
// fetched of all (0 if unknown). From the second time on nothing is fetched.
// It does not try again; the error says what is wrong with the file or its source.
func (f *Fetcher) Fetch(ctx context.Context, s Source, goos, goarch string, progress func(got, all int64)) (Binary, error) {
	fail := func(err error) (Binary, error) {
		return Binary{}, fmt.Errorf("cannot fetch etcd for %s/%s from %q: %w", goos, goarch, s.URL, err)
	}
	if !hexSum.MatchString(s.SHA256) {
		return fail(fmt.Errorf("sha256 %q is not 64 hex digits", s.SHA256))
	}
	done := f.once.DoChan(strings.ToLower(s.SHA256), func() (any, error) {
		if b, err := f.cached(s); err != nil || b.Path != "" {
			return b, err
		}
		if err := f.fill(ctx, s, progress); err != nil {
			return Binary{}, err
		}
		return f.cached(s)
	})
	var b Binary
	select {
	case r := <-done:
		if r.Err != nil {
			return fail(r.Err)
		}
		b = r.Val.(Binary)
	case <-ctx.Done():
		return fail(context.Cause(ctx))
	}
	if err := executable(b.Path, goos, goarch); err != nil {
		return fail(err)
	}
	return b, nil
}

// fill gets the file, checks it, and puts it, the binary out of it and that one's digest into the cache.
func (f *Fetcher) fill(ctx context.Context, s Source, progress func(got, all int64)) error {
	dir := filepath.Dir(f.place(s, archiveFile))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	archive, err := renameio.NewPendingFile(f.place(s, archiveFile), renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return err
	}
	defer archive.Cleanup()
	if err := f.get(ctx, s.URL, strings.ToLower(s.SHA256), archive, progress); err != nil {
		return err
	}
	binary, err := renameio.NewPendingFile(f.place(s, binaryFile), renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o755))
	if err != nil {
		return err
	}
	defer binary.Cleanup()
	h := sha256.New()
	if err := extract(archive.File, io.MultiWriter(binary, h)); err != nil {
		return err
	}
	if err := archive.CloseAtomicallyReplace(); err != nil {
		return err
	}
	note := hex.EncodeToString(h.Sum(nil)) + "\n"
	if err := renameio.WriteFile(f.place(s, noteFile), []byte(note), 0o644, renameio.WithTempDir(dir)); err != nil {
		return err
	}
	return binary.CloseAtomicallyReplace()
}

// get reads the file at a path or a URL into out, and checks its sum.
func (f *Fetcher) get(ctx context.Context, url, sum string, out io.Writer, progress func(got, all int64)) error {
	in, all, kind, err := f.open(ctx, url)
	if err != nil {
		return err
	}
	defer in.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(h, out, &counter{all: all, progress: progress}), io.LimitReader(in, largestArchive+1))
	switch got := hex.EncodeToString(h.Sum(nil)); {
	case err != nil:
		return err
	case n > largestArchive:
		return fmt.Errorf("it is larger than %d MB", largestArchive>>20)
	case got != sum:
		hint := ""
		if kind != "" {
			hint = fmt.Sprintf(" (the server says that it is %s)", kind)
		}
		return fmt.Errorf("its sha256 is %s and not %s; it is %d bytes long%s: compare with the release's SHA256SUMS", got, sum, n, hint)
	}
	return nil
}

// open gives what is at a path or a URL, and its size, 0 if unknown. kind is what a server says that it is.
func (f *Fetcher) open(ctx context.Context, url string) (in io.ReadCloser, all int64, kind string, err error) {
	if !remote(url) {
		path := strings.TrimPrefix(url, "file://")
		if !filepath.IsAbs(path) {
			path = filepath.Join(f.Dir, path)
		}
		file, err := os.Open(path)
		if err != nil {
			return nil, 0, "", err
		}
		info, err := file.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is no regular file", path)
		}
		if err != nil {
			file.Close()
			return nil, 0, "", err
		}
		return file, info.Size(), "", nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, "", err
	}
	client := cmp.Or(f.Client, http.DefaultClient)
	resp, err := client.Do(r)
	if err != nil {
		return nil, 0, "", err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, 0, "", fmt.Errorf("the server answered %s", resp.Status)
	}
	return resp.Body, max(0, resp.ContentLength), resp.Header.Get("Content-Type"), nil
}

// counter reports as progress what is written to it.
type counter struct {
	got, all int64
	progress func(got, all int64)
}

func (c *counter) Write(b []byte) (int, error) {
	c.got += int64(len(b))
	if c.progress != nil {
		c.progress(c.got, c.all)
	}
	return len(b), nil
}
