package datadir

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/zap"

	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"

	"quorate/kvserver"
)

// hashOfBackend is what a member would answer, from a copy that etcd opens for writing.
func hashOfBackend(t *testing.T, path string) kvserver.Hash {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "db")
	write(t, copied, string(text))
	be := backend.NewDefaultBackend(zap.NewNop(), copied, backend.WithMmapSize(1<<24))
	defer be.Close()
	store := mvcc.NewStore(zap.NewNop(), be, &lease.FakeLessor{}, mvcc.StoreConfig{})
	defer store.Close()
	h, _, err := store.HashStorage().HashByRev(0)
	if err != nil {
		t.Fatal(err)
	}
	return kvserver.Hash{Hash: h.Hash, Revision: h.Revision, CompactRevision: h.CompactRevision}
}

// scheduled is a revision as mvcc writes down what is to be compacted.
func scheduled(rev uint64) string {
	b := append(binary.BigEndian.AppendUint64(nil, rev), '_')
	return string(append(b, make([]byte, 8)...))
}

// What is read of a file is what etcd computes once it has opened it, and the file is left as it was.
func TestHash(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, path string){
		"compacted":             func(*testing.T, string) {},
		"a compaction was cut":  func(t *testing.T, path string) { put(t, path, "meta", "scheduledCompactRev", scheduled(290)) },
		"a value that is wrong": func(t *testing.T, path string) { exchange(t, path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "db")
			etcdDatabase(t, path, nil)
			change(t, path)
			before := read256(t, path)
			got, _, err := Hash(path)
			if err != nil {
				t.Fatal(err)
			}
			if read256(t, path) != before {
				t.Error("reading has changed it")
			}
			if want := hashOfBackend(t, path); got != want || got.Revision != 302 || got.Hash == 0 {
				t.Errorf("%+v, etcd says %+v", got, want)
			}
			if err := Check(path); err != nil {
				t.Error(err)
			}
		})
	}
}

// exchange puts another value, that can be read, in the place of the last one.
func exchange(t *testing.T, path string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("key"))
		k, v := b.Cursor().Last()
		return b.Put(bytes.Clone(k), bytes.ReplaceAll(v, []byte("v"), []byte("w")))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A page that was not written, bytes of one that are others, a file without its end: each is found, and what
// bolt or etcd would end the process with is an error here.
func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	page := os.Getpagesize()
	for name, spoiled := range map[string]func(b []byte) []byte{
		"cut":                   func(b []byte) []byte { return b[:len(b)/2] },
		"zeros from the middle": func(b []byte) []byte { clear(b[len(b)/3:]); return b },
		"every other page zeros": func(b []byte) []byte {
			for at := 2 * page; at < len(b); at += 2 * page {
				clear(b[at : at+page])
			}
			return b
		},
		"every third page ones": func(b []byte) []byte {
			for at := 2 * page; at < len(b); at += 3 * page {
				copy(b[at:], bytes.Repeat([]byte{0xff}, page))
			}
			return b
		},
		"pages exchanged": func(b []byte) []byte {
			for at := 2 * page; at+2*page < len(b); at += 2 * page {
				one := bytes.Clone(b[at : at+page])
				copy(b[at:], b[at+page:at+2*page])
				copy(b[at+page:], one)
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "db")
			size, _ := etcdDatabase(t, path, nil)
			os.Truncate(path, size)
			spoil(t, path, spoiled)
			before := read256(t, path)
			for what, f := range map[string]func() error{"Check": func() error { return Check(path) }, "Hash": func() error { _, _, err := Hash(path); return err }} {
				if err := f(); err == nil || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if read256(t, path) != before {
				t.Error("looking has changed it")
			}
		})
	}
}

// What bolt finds and a walk does not: pages that nobody refers to any more.
func TestCheckFindsLostPages(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	etcdDatabase(t, path, nil)
	db, err := bolt.Open(path, 0o600, nil) // this one writes its list of free pages down
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("key")) }); err != nil {
		t.Fatal(err)
	}
	var list int64
	if err := db.View(func(tx *bolt.Tx) error {
		for id := range int(tx.Size()) / os.Getpagesize() {
			if p, err := tx.Page(id); err == nil && p != nil && p.Type == "freelist" {
				list = int64(id)
			}
		}
		return nil
	}); err != nil || list == 0 {
		t.Fatalf("%v: no list of free pages", err)
	}
	db.Close()
	if err := Check(path); err != nil {
		t.Fatal(err)
	}
	spoil(t, path, func(b []byte) []byte { b[list*int64(os.Getpagesize())+10] = 1; return b }) // it has one entry now
	if err := Check(path); err == nil || !strings.Contains(err.Error(), "unreachable unfreed") || !strings.Contains(err.Error(), "more") {
		t.Errorf("%v", err)
	}
}
