package datadir

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

// store is etcd's own store on a file.
func store(t interface{ Helper() }, path string) (mvcc.KV, backend.Backend) {
	t.Helper()
	be := backend.NewDefaultBackend(zap.NewNop(), path)
	schema.CreateMetaBucket(be.BatchTx())
	return mvcc.New(zap.NewNop(), be, &lease.FakeLessor{}, mvcc.StoreConfig{CompactionSleepInterval: time.Microsecond}), be
}

// The hash that is read from a file is the one that etcd's own store gives for it, whatever was done to it:
// puts, deletions, both in one transaction, compactions.
func TestHashIsEtcds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		kv, be := store(r, path)
		for range rapid.IntRange(0, 30).Draw(r, "steps") {
			step(r, kv)
		}
		want, rev, err := kv.HashStorage().HashByRev(0)
		if err != nil {
			r.Fatal(err)
		}
		live, err := kv.Range(context.Background(), []byte{0}, []byte{0xff}, mvcc.RangeOptions{})
		if err != nil {
			r.Fatal(err)
		}
		be.ForceCommit()
		kv.Close()
		be.Close()
		got, keys, err := Hash(path)
		if err != nil {
			r.Fatal(err)
		}
		if got.Hash != want.Hash || got.Revision != rev || got.CompactRevision != want.CompactRevision {
			r.Errorf("%+v, etcd says %+v", got, want)
		}
		if keys != int64(len(live.KVs)) {
			r.Errorf("%d keys, etcd has %d", keys, len(live.KVs))
		}
	})
}

// step does one thing to a store, as a client might.
func step(r *rapid.T, kv mvcc.KV) {
	key := func() []byte { return fmt.Appendf(nil, "k%d", rapid.IntRange(0, 5).Draw(r, "key")) }
	tx := kv.Write(traceutil.TODO())
	switch rapid.IntRange(0, 3).Draw(r, "what") {
	case 0:
		tx.Put(key(), rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(r, "value"), 0)
	case 1:
		tx.DeleteRange(key(), nil)
	case 2: // one transaction for several keys
		tx.DeleteRange([]byte("k0"), []byte("k3"))
		tx.Put([]byte("k4"), []byte("x"), 0)
		tx.Put([]byte("k5"), nil, 0)
	default:
		tx.End()
		if at := kv.Rev() - rapid.Int64Range(0, 3).Draw(r, "behind"); at > max(kv.FirstRev(), 0) {
			if done, err := kv.Compact(traceutil.TODO(), at); err == nil {
				<-done
			}
		}
		return
	}
	tx.End()
}

// A compaction that was begun and never finished, as a snapshot may catch it.
func TestHashWithACompactionUnfinished(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	kv, be := store(t, path)
	for i := range 20 {
		kv.Put(fmt.Appendf(nil, "k%d", i%4), []byte("v"), 0)
	}
	kv.DeleteRange([]byte("k1"), nil)
	tx := be.BatchTx()
	tx.LockOutsideApply()
	mvcc.UnsafeSetScheduledCompact(tx, 15)
	tx.Unlock()
	be.ForceCommit()
	kv.Close()
	be.Close()
	got, keys, err := Hash(path)
	if err != nil {
		t.Fatal(err)
	}
	kv, be = store(t, path) // it compacts first
	defer be.Close()
	defer kv.Close()
	want, _, err := kv.HashStorage().HashByRev(0)
	if err != nil || got.Hash != want.Hash || got.CompactRevision != want.CompactRevision || keys != 3 {
		t.Errorf("%+v, etcd says %+v, %v", got, want, err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	kv, be := store(t, path)
	for i := range 100 {
		kv.Put(fmt.Appendf(nil, "k%d", i), nil, 0)
	}
	be.ForceCommit()
	kv.Close()
	be.Close()
	_, _, err := hashWithin(path, 1000)
	if much := (*TooMuchMemoryError)(nil); !errors.As(err, &much) || much.Needed <= 1000 {
		t.Errorf("%v", err)
	}
	if err := checkWithin(path, 100); !errors.As(err, new(*TooMuchMemoryError)) {
		t.Errorf("%v", err)
	}
	if _, _, err := Hash(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a hash of nothing")
	}
}

// Whatever is in a value, reading its key does not fail otherwise than by an error.
func FuzzKeyOf(f *testing.F) {
	f.Add([]byte("\x0a\x01k\x2a\x01v"))
	f.Add([]byte{})
	f.Add([]byte("\x2a\x01v\x0a\x7f"))
	f.Fuzz(func(t *testing.T, v []byte) {
		key, err := keyOf(v)
		if err != nil && key != nil || len(key) > len(v) {
			t.Errorf("%q: %q, %v", v, key, err)
		}
		_, _, _ = revisionOf(v)
	})
}
