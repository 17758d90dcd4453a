package snapshot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"quorate/internal/sealed"
	"quorate/kvserver"
)

// packer writes a snapshot twice as it comes: as it is, to be read, and
// compressed, maybe encrypted, to be kept.
type packer struct {
	tail  *tail
	plain *os.File
	out   *os.File
	sum   *counted
	zip   *zstd.Encoder
	seal  io.WriteCloser // nil: not encrypted
}

// newPacker makes both files; neither may be there.
func newPacker(packed, plain string, encrypted bool, e sealed.Encryption) (*packer, error) {
	w := &packer{tail: newTail()}
	if err := w.open(packed, plain, encrypted, e); err != nil {
		w.abandon()
		return nil, err
	}
	return w, nil
}

func (w *packer) open(packed, plain string, encrypted bool, e sealed.Encryption) (err error) {
	if w.plain, err = create(plain); err != nil {
		return err
	}
	if w.out, err = create(packed); err != nil {
		return err
	}
	w.sum = &counted{to: w.out, hash: sha256.New()}
	var to io.Writer = w.sum
	if encrypted {
		if w.seal, err = e.Encrypt(to); err != nil {
			return err
		}
		to = w.seal
	}
	// The fastest: half of what a better level saves beyond it, at a third of its time. Two are at work, as the smallest hosts have cores.
	w.zip, err = zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))
	return err
}

func create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (w *packer) Write(p []byte) (int, error) {
	_, _ = w.tail.Write(p) // it takes everything
	if _, err := w.plain.Write(p); err != nil {
		return 0, err
	}
	return w.zip.Write(p)
}

// finish makes the packed file durable, and gives its size and digest. The other
// one goes as soon as it was read.
func (w *packer) finish() (size int64, digest string, err error) {
	err = w.zip.Close()
	if w.seal != nil {
		err = errors.Join(err, w.seal.Close())
	}
	if err == nil {
		err = w.out.Sync()
	}
	err = errors.Join(err, w.out.Close(), w.plain.Close())
	w.out, w.plain = nil, nil
	return w.sum.size, hex.EncodeToString(w.sum.hash.Sum(nil)), err
}

// abandon closes what finish has not.
func (w *packer) abandon() {
	for _, f := range []*os.File{w.out, w.plain} {
		if f != nil {
			f.Close()
		}
	}
}

// counted counts and hashes what it passes on.
type counted struct {
	to   io.Writer
	hash hash.Hash
	size int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.hash.Write(p[:n])
	c.size += int64(n)
	return n, err
}

// tail hashes all but the last 32 bytes of what it is given, which are to be the hash
// of the rest: etcd puts it there (api/v3rpc/maintenance.go). A database is whole sectors, so the rest of
// the size by 512 tells whether there is one.
type tail struct {
	hash hash.Hash
	last []byte // at most as long as a hash
	size int64
}

func newTail() *tail { return &tail{hash: sha256.New()} }

func (t *tail) Write(p []byte) (int, error) {
	t.size += int64(len(p))
	if over := len(t.last) + len(p) - sha256.Size; over > 0 {
		old := min(over, len(t.last))
		t.hash.Write(t.last[:old])
		t.last = t.last[old:]
		if over > old {
			t.hash.Write(p[:over-old])
			t.last = append(t.last[:0], p[over-old:]...)
			return len(p), nil
		}
	}
	t.last = append(t.last, p...)
	return len(p), nil
}

// ErrNoHash: a file has no hash at its end, as a copy of a member's database has none.
var ErrNoHash = errors.New("it has no hash at its end: it was cut, or it is a copy of a member's database and no snapshot")

// verify gives the hash, hex, if it is that of what came before it.
func (t *tail) verify() (string, error) {
	switch {
	case t.size == 0:
		return "", errors.New("it is empty")
	case t.size%512 != sha256.Size:
		return "", fmt.Errorf("%d bytes: %w", t.size, ErrNoHash)
	}
	if sum := t.hash.Sum(nil); !bytes.Equal(sum, t.last) {
		return "", fmt.Errorf("the hash at its end is %x…, that of the rest %x…: it was changed or damaged", t.last[:6], sum[:6])
	}
	return hex.EncodeToString(t.last), nil
}

// the first bytes that tell.
var (
	ageMagic   = []byte("age-encryption.org/v1")
	armorMagic = []byte("-----BEGIN AGE ENCRYPTED FILE-----")
	zstdMagic  = []byte{0x28, 0xb5, 0x2f, 0xfd}
	gzipMagic  = []byte{0x1f, 0x8b}
)

// Open gives the snapshot in a file, whatever its form: encrypted with age,
// compressed with zstd or gzip, or as it is. e opens what is encrypted. That it is whole
// is known at its end only, of a plain one not even then.
func Open(r io.Reader, e sealed.Encryption) (io.Reader, kvserver.Form, error) {
	var form kvserver.Form
	in := bufio.NewReaderSize(r, 1<<20)
	if starts(in, ageMagic) || starts(in, armorMagic) {
		form.Encrypted = true
		plain, err := e.Decrypt(in)
		if err != nil {
			return nil, form, err
		}
		in = bufio.NewReaderSize(plain, 1<<20)
	}
	switch {
	case starts(in, zstdMagic):
		form.Compressed = "zstd"
		// Bounded, since what is read may be anybody's: what newPacker writes needs 4 MiB.
		z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(32<<20), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, form, err
		}
		return z, form, nil
	case starts(in, gzipMagic):
		form.Compressed = "gzip"
		z, err := gzip.NewReader(in)
		return z, form, err
	}
	return in, form, nil
}

func starts(r *bufio.Reader, with []byte) bool {
	have, _ := r.Peek(len(with))
	return bytes.Equal(have, with)
}
