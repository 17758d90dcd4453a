package snapshot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"quorate/internal/resources"
	"quorate/internal/sealed"
	"quorate/kvserver"
	"quorate/kvserver/datadir"
)

// VerifyOptions say how a file is verified.
type VerifyOptions struct {
	// Name is what an error calls the file; "" is its path.
	Name string
	// Work is the folder that it is unpacked into, where it is packed; "" is its own.
	Work string
	// Encryption opens one that is encrypted.
	Encryption sealed.Encryption
	// NoHash takes a file without a hash at its end, a copy of member/snap/db.
	NoHash bool
	// Progress, which may be nil, hears what is being done.
	Progress func(kvserver.BackupLine)
}

// Verify reads a snapshot, in whatever form, as a restore will: the size, the hash at its
// end, every page by bbolt's own check, each key, and compares that with the metadata beside it, if
// there is any. The file is not changed. One that is packed is unpacked for it, into a file that is
// removed. An error says what is wrong. What takes memory by page or key
// is refused where that is not there ([datadir.TooMuchMemoryError]).
func Verify(ctx context.Context, path string, o VerifyOptions) (*kvserver.Verified, error) {
	v, _, done, err := Unpack(ctx, path, o)
	if err == nil {
		done()
	}
	return v, err
}

// Unpack is [Verify], and gives a file with the snapshot as it is: path itself, or, of one that is packed, another one
// in o.Work, which done removes.
func Unpack(ctx context.Context, path string, o VerifyOptions) (v *kvserver.Verified, plain string, done func(), err error) {
	if v, plain, done, err = verify(ctx, path, o); err != nil {
		return nil, "", nil, fmt.Errorf("cannot verify %s: %w", cmp.Or(o.Name, path), err)
	}
	return v, plain, done, nil
}

func verify(ctx context.Context, path string, o VerifyOptions) (v *kvserver.Verified, plain string, done func(), err error) {
	if o.Progress == nil {
		o.Progress = func(kvserver.BackupLine) {}
	}
	if o.Work == "" {
		o.Work = filepath.Dir(path)
	}
	v = new(kvserver.Verified)
	if v.Metadata, err = Metadata(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil, err
	}
	if plain, done, err = unpack(ctx, v, path, o); err != nil {
		return nil, "", nil, err
	}
	o.Progress(kvserver.BackupLine{Stage: kvserver.StageRead})
	if err = datadir.Check(plain); err == nil {
		v.Content, err = datadir.Content(plain)
	}
	if err == nil {
		v.Hash, v.Keys, err = datadir.Hash(plain)
	}
	if err == nil {
		err = agrees(v)
	}
	if err != nil {
		done()
		return nil, "", nil, err
	}
	return v, plain, done, nil
}

// unpack gives a file with the snapshot as it is, whose hash is right, and what removes it, if it was made.
func unpack(ctx context.Context, v *kvserver.Verified, path string, o VerifyOptions) (plain string, done func(), err error) {
	in, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", nil, err
	}
	if !info.Mode().IsRegular() {
		return "", nil, errors.New("it is no regular file")
	}
	tell := throttled(func(got, all int64) {
		o.Progress(kvserver.BackupLine{Stage: kvserver.StageReceive, Done: got, Total: all})
	})
	packed := &counted{to: io.Discard, hash: sha256.New()}
	r, form, err := Open(io.TeeReader(&stoppable{ctx, in, func(n int64) { tell(n, info.Size()) }, 0}, packed), o.Encryption)
	if err != nil {
		return "", nil, err
	}
	if c, ok := r.(interface{ Close() }); ok {
		defer c.Close() // zstd's goroutines
	}
	v.Form = form
	t := newTail()
	var to io.Writer = t
	plain, done = path, func() {}
	if form.Packed() {
		need := info.Size()
		if v.Metadata != nil {
			need = v.Metadata.Size
		}
		if err := resources.Room(o.Work, need+margin); err != nil {
			return "", nil, err
		}
		f, failed := newUnpacked(o.Work)
		if failed != nil {
			return "", nil, failed
		}
		plain, done = f.Name(), f.remove
		defer func() {
			if err = errors.Join(err, f.Close()); err != nil {
				done()
			}
		}()
		to = io.MultiWriter(t, f)
	}
	_, unread := io.Copy(to, r)
	if unread != nil && ctx.Err() != nil {
		return plain, done, unread
	}
	if _, err := io.Copy(io.Discard, io.TeeReader(in, packed)); err != nil { // what follows what was read is part of the file
		return plain, done, err
	}
	switch m := v.Metadata; {
	case m != nil && (packed.size != m.PackedSize || hex.EncodeToString(packed.hash.Sum(nil)) != m.PackedSHA256):
		return plain, done, errors.New("it was changed or damaged: its size or digest is not what its metadata says\n  where it is whole elsewhere (quorate backup list), move this one away and fetch it again")
	case unread != nil:
		return plain, done, fmt.Errorf("it cannot be read to its end: %w", unread)
	}
	v.Size = t.size
	v.SHA256, err = t.verify()
	if errors.Is(err, ErrNoHash) && o.NoHash {
		v.SHA256, err = "", nil
	}
	return plain, done, err
}

// agrees compares what was read with the metadata.
func agrees(v *kvserver.Verified) error {
	m := v.Metadata
	switch {
	case m == nil:
		return nil
	case v.SHA256 != m.SHA256 || v.Size != m.Size:
		return errors.New("the snapshot in it is not the one that its metadata describes: size or digest differ")
	case v.Content.Revision != m.Content.Revision || v.Content.CompactRevision != m.Content.CompactRevision:
		return fmt.Errorf("it holds revisions %d to %d, its metadata says %d to %d", v.Content.CompactRevision, v.Content.Revision, m.Content.CompactRevision, m.Content.Revision)
	case m.Hash != nil && *m.Hash != v.Hash:
		return fmt.Errorf("its keys hash to %08x, its metadata says %08x", v.Hash.Hash, m.Hash.Hash)
	case m.Hash != nil && m.Keys != v.Keys:
		return fmt.Errorf("it holds %d keys, its metadata says %d", v.Keys, m.Keys)
	}
	return nil
}

// stoppable ends with ctx, and tells how far it is.
type stoppable struct {
	ctx  context.Context
	r    io.Reader
	tell func(int64)
	n    int64
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	s.tell(s.n)
	return n, err
}
