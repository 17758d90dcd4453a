package datadir

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"

	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"quorate/internal/resources"
	"quorate/kvserver"
)

// TooMuchMemoryError says that reading a file would take more memory than there is to spare.
type TooMuchMemoryError struct {
	What          string
	Needed, Spare int64 // bytes; Needed is where counting ended: it may be more
}

func (e *TooMuchMemoryError) Error() string {
	return fmt.Sprintf("cannot %s: it takes at least %d MB of memory, and %d MB are to spare", e.What, e.Needed>>20, e.Spare>>20)
}

// Hash reads a database file, which nobody may write meanwhile, and hashes its
// keys as etcd does (server/storage/mvcc/hash.go and key_index.go's keep):
//
//   - an entry above the compact revision counts;
//   - one at or below it counts if it is the newest of its key and no deletion; where
//     nothing exists any more, all of them count but a deletion at the compact revision itself.
//
// Compaction leaves at most one entry a key at or below its revision. So what
// has to be remembered are the keys that were changed since; all keys only where a compaction
// had not finished. That takes memory by key: half of what the machine has to spare at the most
// ([resources.Spare]), and beyond it the error is a [*TooMuchMemoryError].
//
// It takes databases as [Content] does, writes nothing, and says beside the hash how many keys exist. A damaged one is an error.
func Hash(path string) (h kvserver.Hash, keys int64, err error) {
	return hashWithin(path, resources.Spare())
}

func hashWithin(path string, spare int64) (kvserver.Hash, int64, error) {
	h := hasher{spare: spare}
	found, err := view(path, time.Second, func(tx *bolt.Tx) error {
		if err := pages(path, tx); err != nil {
			return err
		}
		return h.run(tx)
	})
	if err == nil && !found {
		err = fmt.Errorf("cannot read database %s: there is none, or it is empty", path)
	}
	return h.hash, h.keys, err
}

type hasher struct {
	spare, used int64

	hash kvserver.Hash
	keys int64
	// newest has, of each key that was changed above the compact revision, whether it exists now. Where a
	// compaction had not finished, it has the other keys too, and old their newest entry.
	newest   map[string]bool
	old      map[string]mvcc.Revision
	finished bool
}

// perKey is what a key takes in a map beside its own bytes: Go's maps hold 7 of 8 slots at most, of a string's
// header and a flag or a revision, with a byte of control each, and double while they grow.
const perKey = 120

func (h *hasher) run(tx *bolt.Tx) error {
	h.hash.CompactRevision = cmp.Or(compacted(tx), -1)
	h.finished = mainRevision(get(tx, schema.Meta, schema.FinishedCompactKeyName)) == max(h.hash.CompactRevision, 0)
	h.hash.Revision = revision(tx)
	h.newest, h.old = map[string]bool{}, map[string]mvcc.Revision{}
	b := tx.Bucket(schema.Key.Name())
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	sum.Write(schema.Key.Name())
	if b == nil {
		h.hash.Hash = sum.Sum32()
		return nil
	}
	c := b.Cursor()
	for k, v := c.Last(); k != nil; k, v = c.Prev() { // the newest first
		if err := h.note(k, v); err != nil {
			return err
		}
	}
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if h.counts(k, v) {
			sum.Write(k)
			sum.Write(v)
		}
	}
	h.hash.Hash = sum.Sum32()
	return nil
}

// note takes the newest entry of each key.
func (h *hasher) note(k, v []byte) error {
	rev, deleted, err := revisionOf(k)
	if err != nil {
		return err
	}
	key, err := keyOf(v)
	if err != nil {
		return fmt.Errorf("the entry of revision %d: %w", rev.Main, err)
	}
	if _, newer := h.newest[string(key)]; newer {
		return nil
	}
	if !deleted {
		h.keys++
	}
	if rev.Main <= h.hash.CompactRevision && h.finished {
		return nil // there is no older one
	}
	if h.used += int64(len(key)) + perKey; h.used > h.spare {
		return &TooMuchMemoryError{What: "hash the keys", Needed: h.used, Spare: h.spare}
	}
	h.newest[string(key)] = !deleted
	if rev.Main <= h.hash.CompactRevision {
		h.old[string(key)] = rev
	}
	return nil
}

// counts reports whether an entry is part of the hash.
func (h *hasher) counts(k, v []byte) bool {
	rev, deleted, _ := revisionOf(k) // note has read it
	switch {
	case rev.Main > h.hash.CompactRevision:
		return true
	case rev.Main == h.hash.CompactRevision && deleted:
		return false
	case h.keys == 0:
		return true
	case deleted:
		return false
	}
	key, _ := keyOf(v)
	if old, noted := h.old[string(key)]; noted {
		return old == rev
	}
	_, newer := h.newest[string(key)]
	return !newer
}

var errEntry = errors.New("a key in the database is no revision: the file is damaged")

// revisionOf reads a key of the bucket "key": a revision, and "t" behind it for a deletion (mvcc.BytesToBucketKey, which panics).
func revisionOf(k []byte) (rev mvcc.Revision, deleted bool, err error) {
	const plain = 8 + 1 + 8
	if len(k) != plain && len(k) != plain+1 || k[8] != '_' || len(k) > plain && k[plain] != 't' {
		return rev, false, errEntry
	}
	return mvcc.BytesToRev(k[:plain]), len(k) > plain, nil
}

// keyOf is the key in a stored mvccpb.KeyValue, its first field, without a copy of the value. What a bump of
// the revision puts there is empty.
func keyOf(v []byte) ([]byte, error) {
	var key []byte
	for len(v) > 0 {
		num, typ, n := protowire.ConsumeTag(v)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		v = v[n:]
		if num == 1 && typ == protowire.BytesType {
			if key, n = protowire.ConsumeBytes(v); n < 0 {
				return nil, protowire.ParseError(n)
			}
			return key, nil
		}
		if n = protowire.ConsumeFieldValue(num, typ, v); n < 0 {
			return nil, protowire.ParseError(n)
		}
		v = v[n:]
	}
	return key, nil
}
