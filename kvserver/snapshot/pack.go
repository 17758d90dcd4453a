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

// sampleSize is how much of a snapshot decides whether it is worth compressing, bytes; worthIt is the share of it that has to go.
// A snapshot that is compressed is written twice and hashed twice. Values that do not compress lie in a
// database more than once, as bolt copies pages that it changes: of the first megabytes of a gigabyte of such values a seventh went.
const (
	sampleSize = 8 << 20
	worthIt    = 0.25
)

// packer writes a snapshot as it comes: as it is, to be read, and beside that compressed, or encrypted, to be kept. One
// that is to be kept unencrypted and does not compress is kept as it is, and written once.
type packer struct {
	tail        *tail
	plain, pack string
	encrypted   bool
	encryption  sealed.Encryption

	sample  []byte // until it is decided; then nil
	decided bool
	raw     *os.File
	side    *beside  // writes raw, and hashes it
	out     *os.File // nil: the snapshot is kept as it is
	sum     *counted
	zip     *zstd.Encoder
	seal    io.WriteCloser // nil: not encrypted
}

// newPacker makes no file yet.
func newPacker(plain, packed string, encrypted bool, e sealed.Encryption) *packer {
	return &packer{tail: newTail(), plain: plain, pack: packed, encrypted: encrypted, encryption: e}
}

func (w *packer) Write(p []byte) (int, error) {
	if w.decided {
		return w.pass(p)
	}
	if err := w.begin(); err != nil {
		return 0, err
	}
	w.sample = append(w.sample, p...)
	if len(w.sample) < sampleSize {
		return len(p), nil
	}
	return len(p), w.decide()
}

func (w *packer) pass(p []byte) (int, error) {
	if n, err := w.side.Write(p); err != nil || w.zip == nil {
		return n, err
	}
	return w.zip.Write(p)
}

// begin makes the file that is to be read, so that whoever looks finds it as soon as anything has come.
func (w *packer) begin() (err error) {
	if w.raw == nil {
		w.raw, err = create(w.plain)
	}
	return err
}

// decide opens the packed file, if there is to be one, and writes what has come so far.
func (w *packer) decide() error {
	if err := w.begin(); err != nil {
		return err
	}
	w.decided = true
	sample := w.sample
	w.sample = nil
	packs, err := w.packs(sample)
	if err != nil {
		return err
	}
	var plain io.Writer = w.raw
	if !packs {
		plain = &flowing{File: w.raw}
	} else if err := w.openPacked(); err != nil {
		return err
	}
	w.side = newBeside(io.MultiWriter(plain, w.tail))
	_, err = w.pass(sample)
	return err
}

// packs reports whether there is to be a packed file.
func (w *packer) packs(sample []byte) (bool, error) {
	if w.encrypted {
		return true, nil
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return false, err
	}
	return float64(len(z.EncodeAll(sample, nil))) <= (1-worthIt)*float64(len(sample)), nil
}

func (w *packer) openPacked() (err error) {
	if w.out, err = create(w.pack); err != nil {
		return err
	}
	w.sum = &counted{to: &flowing{File: w.out}, hash: sha256.New()}
	var to io.Writer = w.sum
	if w.encrypted {
		if w.seal, err = w.encryption.Encrypt(to); err != nil {
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

// end is called when all has come: then all of it is in the file that is to be read, and has gone through the tail.
func (w *packer) end() error {
	if !w.decided {
		if err := w.decide(); err != nil {
			return err
		}
	}
	return w.side.end()
}

// finish ends what is kept, and gives its size and digest. The hash at the end of the snapshot has been verified.
func (w *packer) finish() (size int64, digest string, err error) {
	if w.out == nil {
		return w.tail.size, w.tail.whole(), nil
	}
	err = w.zip.Close()
	if w.seal != nil {
		err = errors.Join(err, w.seal.Close())
	}
	return w.sum.size, hex.EncodeToString(w.sum.hash.Sum(nil)), err
}

// sync makes what is kept durable. The other file goes as soon as it was read.
func (w *packer) sync() error {
	if w.out != nil {
		return w.out.Sync()
	}
	return w.raw.Sync()
}

// kept is the path of what is kept.
func (w *packer) kept() string {
	if w.out != nil {
		return w.pack
	}
	return w.plain
}

// compressed is how that holds the snapshot.
func (w *packer) compressed() string {
	if w.out != nil {
		return "zstd"
	}
	return ""
}

// abandon closes the files.
func (w *packer) abandon() {
	if w.side != nil {
		_ = w.side.end()
	}
	for _, f := range []*os.File{w.out, w.raw} {
		if f != nil {
			f.Close() // what is kept was synced
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

// whole is the hash of all that came, hex; nothing may come after it.
func (t *tail) whole() string {
	t.hash.Write(t.last)
	return hex.EncodeToString(t.hash.Sum(nil))
}

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
