package host

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"
)

const (
	// racyWindow: a file changed so shortly before its digest was noted may
	// have changed again within the same tick of the file system's clock, so the
	// note is not believed. The coarsest clocks in use tick every two seconds.
	racyWindow = 2 * time.Second
	// staleAfter is how long a compressed copy that nobody used is kept.
	staleAfter = 30 * 24 * time.Hour
)

// FileBlob is a file on the operator's side as a Blob. Its digest and its
// compressed form are kept in cacheDir (made if missing), so that many hosts
// and later runs share one reading and one compression; what is kept is only
// believed while the file's device, inode, size and times (the last one cannot be
// set back) are the same. Runs at the same time wait for one another. Memory use does not depend on the file's size. The file
// must not change while the Blob is in use: Compressed reports it if it does.
func FileBlob(path, cacheDir string) (Blob, error) {
	b, err := fileBlobOf(path, cacheDir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file %q: %w", path, err)
	}
	return b, nil
}

type fileBlob struct {
	path, dir string
	note
}

// note is what the cache knows of a file.
type note struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"size"`
	Stamp  string `json:"stamp"` // device:inode:mtime:ctime, times in nanoseconds
	SHA256 string `json:"sha256"`
}

func (b *fileBlob) Digest() string { return b.SHA256 }
func (b *fileBlob) Size() int64    { return b.Bytes }

func fileBlobOf(path, dir string) (*fileBlob, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	noteFile := filepath.Join(dir, "file-"+Digest([]byte(path))[:32]+".json")
	unlock, err := lockFile(noteFile + ".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	stamp := fmt.Sprintf("%d:%d:%d:%d", st.Dev, st.Ino, st.Mtim.Nano(), st.Ctim.Nano())
	b := &fileBlob{path: path, dir: dir, note: note{Path: path, Bytes: info.Size(), Stamp: stamp}}
	if noted, ok := readNote(noteFile, info.ModTime()); ok && noted.Path == b.Path && noted.Bytes == b.Bytes && noted.Stamp == b.Stamp {
		b.SHA256 = noted.SHA256
		return b, nil
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return nil, err
	}
	if n != b.Bytes {
		return nil, errors.New("it changes while it is read")
	}
	b.SHA256 = hex.EncodeToString(h.Sum(nil))
	text, err := json.Marshal(b.note)
	if err != nil {
		return nil, err
	}
	return b, publish(noteFile, func(w io.Writer) error { _, err := w.Write(text); return err })
}

// readNote returns a note that was written long enough after the file's last change.
func readNote(name string, changed time.Time) (note, bool) {
	var n note
	info, err := os.Stat(name)
	if err != nil || info.ModTime().Before(changed.Add(racyWindow)) {
		return n, false
	}
	text, err := os.ReadFile(name)
	return n, err == nil && json.Unmarshal(text, &n) == nil && len(n.SHA256) == 64
}

// Compressed opens the gzip stream, made now if it is not in the cache.
func (b *fileBlob) Compressed() (io.ReadCloser, int64, error) {
	name := filepath.Join(b.dir, b.SHA256+".gz")
	f, size, err := openSized(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = b.compress(name); err == nil {
			f, size, err = openSized(name)
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("cannot compress the file %q: %w", b.path, err)
	}
	now := time.Now() // only marks the copy as used; nothing is decided by it
	_ = os.Chtimes(name, now, now)
	return f, size, nil
}

// Open opens the file itself. That it is still what its digest says is found out by who gets it.
func (b *fileBlob) Open() (io.ReadCloser, error) {
	f, err := os.Open(b.path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", err)
	}
	return f, nil
}

func openSized(name string) (*os.File, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (b *fileBlob) compress(name string) error {
	unlock, err := lockFile(filepath.Join(b.dir, "compress.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(name); err == nil {
		return nil // somebody else was quicker
	}
	f, err := os.Open(b.path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = publish(name, func(w io.Writer) error {
		h := sha256.New()
		// The link to a host is rarely slower than a better compression is.
		z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.MultiWriter(z, h), f); err != nil {
			return err
		}
		if hex.EncodeToString(h.Sum(nil)) != b.SHA256 {
			return errors.New("it changed since its digest was taken; run again")
		}
		return z.Close()
	})
	if err == nil {
		b.prune(name)
	}
	return err
}

// prune removes copies, and halves of copies, that nobody used for long.
func (b *fileBlob) prune(newest string) {
	info, err := os.Stat(newest)
	if err != nil {
		return
	}
	entries, _ := os.ReadDir(b.dir)
	for _, e := range entries {
		old, err := e.Info()
		if err != nil || info.ModTime().Sub(old.ModTime()) < staleAfter {
			continue
		}
		if ext := filepath.Ext(e.Name()); ext == ".gz" || strings.HasPrefix(e.Name(), ".") {
			_ = os.Remove(filepath.Join(b.dir, e.Name()))
		}
	}
}

// publish writes a file beside its name, makes it durable and renames it.
func publish(name string, write func(io.Writer) error) error {
	f, err := renameio.NewPendingFile(name, renameio.WithTempDir(filepath.Dir(name)))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := write(f); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// lockFile waits until nobody else holds the lock file, in any process.
func lockFile(name string) (unlock func() error, err error) {
	l := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	return l.Unlock, l.Lock()
}
