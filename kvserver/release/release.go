// Package release fetches an upstream etcd release to the operator's side: an
// archive or a bare binary, from a path or over http(s), checked against the
// sha256 that the spec names, and kept in a cache folder. What comes out is
// the path of one executable for the wanted system.
//
// Nothing is run, and no name inside an archive ever becomes a path.
package release

import (
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

// Cached returns the path of the etcd binary out of s if an earlier Fetch has put it into the
// cache; "" if not. It fetches and writes nothing.
func (f *Fetcher) Cached(s Source, goos, goarch string) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("cannot take etcd for %s/%s from %q: %w", goos, goarch, s.URL, err)
	}
	if !hexSum.MatchString(s.SHA256) {
		return fail(fmt.Errorf("sha256 %q is not 64 hex digits", s.SHA256))
	}
	place := f.place(s)
	_, err := os.Stat(place)
	switch {
	case err == nil:
		if err := executable(place, goos, goarch); err != nil {
			return fail(err)
		}
		return place, nil
	case !errors.Is(err, fs.ErrNotExist):
		return fail(err)
	}
	return "", nil
}

// Offered reports why a source cannot be fetched, as far as that can be seen without asking
// anybody: a path at which nothing lies, or another file than the one that is named. nil: Fetch may be tried.
func (f *Fetcher) Offered(ctx context.Context, s Source) error {
	if remote(s.URL) {
		return nil
	}
	archive, err := f.get(ctx, s.URL, strings.ToLower(s.SHA256), nil)
	if err != nil {
		return err
	}
	archive.close()
	return nil
}

func remote(url string) bool {
	return strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://")
}

// local is the path that a URL means which is not remote.
func (f *Fetcher) local(url string) string {
	path := strings.TrimPrefix(url, "file://")
	if !filepath.IsAbs(path) {
		path = filepath.Join(f.Dir, path)
	}
	return path
}

// place is where the binary out of a source is kept.
func (f *Fetcher) place(s Source) string {
	return filepath.Join(f.Cache, strings.ToLower(s.SHA256), "etcd")
}

// Fetch returns the path of the etcd binary out of s, which is for system
// goos/goarch ("linux", "arm64"). progress, if not nil, hears of the bytes
// fetched of all (0 if unknown). From the second time on nothing is fetched.
// It does not try again; the error says what is wrong with the file or its source.
func (f *Fetcher) Fetch(ctx context.Context, s Source, goos, goarch string, progress func(got, all int64)) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("cannot fetch etcd for %s/%s from %q: %w", goos, goarch, s.URL, err)
	}
	if !hexSum.MatchString(s.SHA256) {
		return fail(fmt.Errorf("sha256 %q is not 64 hex digits", s.SHA256))
	}
	sum := strings.ToLower(s.SHA256)
	place := f.place(s)
	done := f.once.DoChan(sum, func() (any, error) {
		_, err := os.Stat(place)
		if errors.Is(err, fs.ErrNotExist) {
			err = f.fill(ctx, s.URL, sum, place, progress)
		}
		return nil, err
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return fail(r.Err)
		}
	case <-ctx.Done():
		return fail(context.Cause(ctx))
	}
	if err := executable(place, goos, goarch); err != nil {
		return fail(err)
	}
	return place, nil
}

// fill gets the file, checks it, and puts the binary out of it into place.
func (f *Fetcher) fill(ctx context.Context, url, sum, place string, progress func(got, all int64)) error {
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return err
	}
	archive, err := f.get(ctx, url, sum, progress)
	if err != nil {
		return err
	}
	defer archive.close()
	out, err := renameio.NewPendingFile(place, renameio.WithTempDir(filepath.Dir(place)), renameio.WithStaticPermissions(0o755))
	if err != nil {
		return err
	}
	defer out.Cleanup()
	if err := extract(archive.File, out.File); err != nil {
		return err
	}
	return out.CloseAtomicallyReplace()
}

// checked is a file whose sum is right, at its beginning; temporary ones go with close.
type checked struct {
	*os.File
	temporary bool
}

func (c checked) close() {
	c.File.Close()
	if c.temporary {
		os.Remove(c.File.Name())
	}
}

// get opens the file at a path, or downloads it into the cache, and checks its sum.
func (f *Fetcher) get(ctx context.Context, url, sum string, progress func(got, all int64)) (checked, error) {
	var c checked
	var in io.Reader
	hint := ""
	if remote(url) {
		body, all, kind, err := f.download(ctx, url)
		if err != nil {
			return c, err
		}
		defer body.Close()
		if c.File, err = os.CreateTemp(f.Cache, ".download.*"); err != nil {
			return c, err
		}
		c.temporary = true
		in = io.TeeReader(counted(body, all, progress), c.File)
		if kind != "" {
			hint = fmt.Sprintf(" (the server says that it is %s)", kind)
		}
	} else {
		path := f.local(url)
		var err error
		if c.File, err = os.Open(path); err != nil {
			return c, err
		}
		all := int64(0)
		if info, err := c.Stat(); err == nil {
			if !info.Mode().IsRegular() {
				c.close()
				return c, fmt.Errorf("%s is no regular file", path)
			}
			all = info.Size()
		}
		in = counted(c.File, all, progress)
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(in, largestArchive+1))
	switch got := hex.EncodeToString(h.Sum(nil)); {
	case err != nil:
	case n > largestArchive:
		err = fmt.Errorf("it is larger than %d MB", largestArchive>>20)
	case got != sum:
		err = fmt.Errorf("its sha256 is %s and not %s; it is %d bytes long%s: compare with the release's SHA256SUMS", got, sum, n, hint)
	default:
		_, err = c.Seek(0, io.SeekStart)
	}
	if err != nil {
		c.close()
		return checked{}, err
	}
	return c, nil
}

func (f *Fetcher) download(ctx context.Context, url string) (body io.ReadCloser, all int64, kind string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, "", err
	}
	client := f.Client
	if client == nil {
		client = http.DefaultClient
	}
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

// counted reports progress while it is read.
func counted(r io.Reader, all int64, progress func(got, all int64)) io.Reader {
	if progress == nil {
		return r
	}
	return &counter{r: r, all: all, progress: progress}
}

type counter struct {
	r        io.Reader
	got, all int64
	progress func(got, all int64)
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.got += int64(n)
	c.progress(c.got, c.all)
	return n, err
}
