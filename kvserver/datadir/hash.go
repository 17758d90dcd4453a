package datadir

import (
	"bytes"
	"fmt"
	"math"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/zap"

	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"

	"quorate/kvserver"
)

// Hash computes what a member with this database would answer to HashKV at its
// newest revision, with etcd's own code and without writing: see
// [kvserver.Hash]. It takes databases as [Content] does. A damaged one is an error.
//
// It reads the file twice and keeps in memory what a server does: each key with
// the revisions of its versions, without the values.
func Hash(path string) (h kvserver.Hash, err error) {
	found, err := view(path, time.Second, func(tx *bolt.Tx) error {
		if err := walk(path, tx); err != nil { // etcd's code panics on damage, in goroutines of its own
			return err
		}
		store := mvcc.NewStore(zap.NewNop(), &frozen{tx: tx}, &lease.FakeLessor{}, mvcc.StoreConfig{})
		defer store.Close()
		kv, _, err := store.HashStorage().HashByRev(0)
		h = kvserver.Hash{Hash: kv.Hash, Revision: kv.Revision, CompactRevision: kv.CompactRevision}
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("cannot read database %s: there is none, or it is empty", path)
	}
	return h, err
}

// frozen is a backend that cannot be changed: what is written to it is
// dropped. That is enough for mvcc's store to be read, which begins by
// making its buckets and by going on with a compaction that was cut: what that
// removes does not count for the hash anyway. What it lacks of a backend the store does not ask for.
type frozen struct {
	backend.Backend
	mu sync.Mutex // mvcc reads in goroutines of its own, and a bolt transaction is for one at a time
	tx *bolt.Tx
}

func (f *frozen) ReadTx() backend.ReadTx   { return frozenTx{f} }
func (f *frozen) BatchTx() backend.BatchTx { return frozenTx{f} }
func (f *frozen) Size() int64              { return f.tx.Size() }
func (f *frozen) SizeInUse() int64         { return f.tx.Size() }
func (f *frozen) ForceCommit()             {}

// frozenTx is its only transaction, to read and to write.
type frozenTx struct{ *frozen }

func (t frozenTx) Lock()             { t.mu.Lock() }
func (t frozenTx) Unlock()           { t.mu.Unlock() }
func (t frozenTx) RLock()            { t.mu.Lock() }
func (t frozenTx) RUnlock()          { t.mu.Unlock() }
func (t frozenTx) LockInsideApply()  { t.mu.Lock() }
func (t frozenTx) LockOutsideApply() { t.mu.Lock() }
func (t frozenTx) Commit()           {}
func (t frozenTx) CommitAndStop()    {}

func (t frozenTx) UnsafeCreateBucket(backend.Bucket)          {}
func (t frozenTx) UnsafeDeleteBucket(backend.Bucket)          {}
func (t frozenTx) UnsafePut(_ backend.Bucket, _, _ []byte)    {}
func (t frozenTx) UnsafeSeqPut(_ backend.Bucket, _, _ []byte) {}
func (t frozenTx) UnsafeDelete(backend.Bucket, []byte)        {}

// UnsafeRange is as the backend's: from key to end, or that one key where end is empty; limit 0 is none.
func (t frozenTx) UnsafeRange(bucket backend.Bucket, key, end []byte, limit int64) (keys, vals [][]byte) {
	b := t.tx.Bucket(bucket.Name())
	if b == nil {
		return nil, nil
	}
	if len(end) == 0 {
		if v := b.Get(key); v != nil {
			return [][]byte{key}, [][]byte{v}
		}
		return nil, nil
	}
	if limit <= 0 {
		limit = math.MaxInt64
	}
	c := b.Cursor()
	for k, v := c.Seek(key); k != nil && bytes.Compare(k, end) < 0 && int64(len(keys)) < limit; k, v = c.Next() {
		keys, vals = append(keys, k), append(vals, v)
	}
	return keys, vals
}

func (t frozenTx) UnsafeForEach(bucket backend.Bucket, visit func(k, v []byte) error) error {
	return forEach(t.tx, bucket, visit)
}
