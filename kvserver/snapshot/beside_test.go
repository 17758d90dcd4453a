package snapshot

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// What goes in comes out, in order, whatever the pieces; and once all is in, all is out.
func TestBeside(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, most := range []int{1, 1000, 32 << 10, blockSize - 1, blockSize, 3 * blockSize} {
		var want, got bytes.Buffer
		b := newBeside(&got)
		for want.Len() < 10*blockSize {
			p := make([]byte, 1+r.IntN(most))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			if most == 1 { // a byte at a time would take long
				p = bytes.Repeat(p, 1+r.IntN(9000))
			}
			want.Write(p)
			if n, err := b.Write(p); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
			clear(p) // the caller's again
		}
		if err := errors.Join(b.end(), b.end()); err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("pieces of %d at the most: %d bytes of %d came, %v", most, got.Len(), want.Len(), err)
		}
	}
}

// full is a disk that takes so many writes.
type full int

var errFull = errors.New("no space left on device")

func (f *full) Write(p []byte) (int, error) {
	if *f--; *f < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// An error of any block is told, to whoever writes on or at the end, and nobody waits for ever.
func TestBesideFails(t *testing.T) {
	t.Parallel()
	const written = 20
	for takes := range written + 1 {
		disk := full(takes)
		b := newBeside(&disk)
		var err error
		for range written {
			if _, err = b.Write(make([]byte, blockSize)); err != nil {
				break
			}
		}
		switch end := b.end(); {
		case takes == written && (err != nil || end != nil):
			t.Errorf("a disk that takes all: %v, %v", err, end)
		case takes < written && (!errors.Is(end, errFull) || err != nil && !errors.Is(err, errFull)):
			t.Errorf("a disk that takes %d blocks of %d: %v, %v", takes, written, err, end)
		}
	}
}

func TestFlowing(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := &flowing{File: f}
	for i := range 5 {
		if n, err := w.Write(make([]byte, beginEvery/2+1)); n != beginEvery/2+1 || err != nil {
			t.Fatal(n, err)
		}
		if begun := int64(i+1) / 2 * (beginEvery + 2); w.begun != begun {
			t.Errorf("after %d: %d bytes are on their way, not %d", i+1, w.begun, begun)
		}
	}
}
