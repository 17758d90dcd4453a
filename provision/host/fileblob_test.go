package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b[:n/2]) // the other half compresses well
	return b
}

func unpack(t *testing.T, b Blob) []byte {
	t.Helper()
	r, size, err := b.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	packed, err := io.ReadAll(r)
	if err != nil || int64(len(packed)) != size {
		t.Fatalf("%d bytes, said to be %d, %v", len(packed), size, err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	for _, content := range [][]byte{nil, []byte("a"), noise(3 << 20)} {
		file := filepath.Join(t.TempDir(), "kvserver")
		if err := os.WriteFile(file, content, 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := FileBlob(file, filepath.Join(t.TempDir(), "new", "cache"))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		for name, b := range map[string]Blob{"file": f, "bytes": BytesBlob(content)} {
			if b.Digest() != hex.EncodeToString(sum[:]) || b.Size() != int64(len(content)) {
				t.Errorf("%s: %s, %d bytes", name, b.Digest(), b.Size())
			}
			for range 2 {
				if !bytes.Equal(unpack(t, b), content) {
					t.Errorf("%s: another content came out", name)
				}
			}
			r, err := b.Open()
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := io.ReadAll(r); err != nil || !bytes.Equal(plain, content) || r.Close() != nil {
				t.Errorf("%s: as it is it is something else (%v)", name, err)
			}
		}
	}
}

func TestFileBlobIsReadAndCompressedOnce(t *testing.T) {
	t.Parallel()
	dir, cache := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "kvserver")
	if err := os.WriteFile(file, noise(1<<20), 0o755); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			b, err := FileBlob(file, cache)
			if err != nil {
				t.Error(err)
				return
			}
			unpack(t, b)
		})
	}
	all.Wait()
	first, err := FileBlob(file, cache)
	if err != nil {
		t.Fatal(err)
	}
	// While nothing of the file has changed, the note is believed.
	notes, _ := filepath.Glob(filepath.Join(cache, "file-*.json"))
	if len(notes) != 1 {
		t.Fatalf("notes: %v", notes)
	}
	right, err := os.ReadFile(notes[0])
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Repeat("b", 64)
	if err := os.WriteFile(notes[0], bytes.Replace(right, []byte(first.Digest()), []byte(other), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := FileBlob(file, cache); err != nil || b.Digest() != other {
		t.Fatalf("the file was read again: %v", err)
	}
	if err := os.WriteFile(notes[0], right, 0o600); err != nil {
		t.Fatal(err)
	}
	// Another file of the same size and time is another file.
	if err := os.WriteFile(file+".new", make([]byte, 1<<20), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file+".new", old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	if b, err := FileBlob(file, cache); err != nil || b.Digest() == first.Digest() {
		t.Fatalf("an exchanged file was not seen: %v", err)
	}
	// The compressed form of the first is there as well, though the file is not what it was.
	if !bytes.Equal(unpack(t, first), noise(1<<20)) {
		t.Fatal("it was compressed again")
	}
	left, _ := filepath.Glob(filepath.Join(cache, ".*"))
	if packed, _ := filepath.Glob(filepath.Join(cache, "*.gz")); len(packed) != 1 || len(left) > 0 {
		t.Fatalf("the cache holds %v and %v", packed, left)
	}
}

func TestFileBlobSeesChanges(t *testing.T) {
	t.Parallel()
	file, cache := filepath.Join(t.TempDir(), "f"), t.TempDir()
	put := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	first, err := FileBlob(file, cache)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	put("two")
	// Within one tick of the clock: nothing but the content tells.
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	second, err := FileBlob(file, cache)
	if err != nil || second.Digest() == first.Digest() {
		t.Fatalf("a change was missed: %v", err)
	}
	put("three")
	if _, _, err := second.Compressed(); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Fatalf("a change under way was missed: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "*gz*")); len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func TestFileBlobErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, p := range []string{filepath.Join(dir, "nowhere"), dir} {
		if _, err := FileBlob(p, filepath.Join(dir, "cache")); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestFileBlobPrunes(t *testing.T) {
	t.Parallel()
	cache, file := t.TempDir(), filepath.Join(t.TempDir(), "f")
	old := time.Now().Add(-2 * staleAfter)
	for _, name := range []string{strings.Repeat("a", 64) + ".gz", ".x.gz1", "file-x.json"} {
		p := filepath.Join(cache, name)
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := FileBlob(file, cache)
	if err != nil {
		t.Fatal(err)
	}
	unpack(t, b)
	if left, _ := filepath.Glob(filepath.Join(cache, "*gz*")); len(left) != 1 {
		t.Fatalf("left: %v", left)
	}
}

func TestFileBlobMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "big")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b, err := FileBlob(file, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := b.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Fatalf("a file of 64 MiB took %d MiB of memory", used>>20)
	}
}
