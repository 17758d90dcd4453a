package datadir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// database makes a database applied up to an index, as etcd writes it.
func database(t *testing.T, path string, index []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("meta"))
		if err != nil || index == nil {
			return err
		}
		return b.Put([]byte("consistent_index"), index)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInitialised(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		make func(t *testing.T, data, wal string)
		wal  bool // a WAL directory of its own
		want bool
		fail string
	}{
		"nothing":                    {make: func(*testing.T, string, string) {}},
		"empty folders":              {make: func(t *testing.T, d, _ string) { os.MkdirAll(filepath.Join(d, "member", "wal"), 0o700) }},
		"a WAL":                      {make: func(t *testing.T, d, _ string) { write(t, filepath.Join(d, "member", "wal", "0-0.wal"), "x") }, want: true},
		"a WAL of its own":           {make: func(t *testing.T, _, w string) { write(t, filepath.Join(w, "0-0.wal"), "x") }, wal: true, want: true},
		"only an unfinished segment": {make: func(t *testing.T, d, _ string) { write(t, filepath.Join(d, "member", "wal", "0.tmp"), "x") }},
		"an old WAL in the data directory does not count for a WAL of its own": {
			make: func(t *testing.T, d, _ string) { write(t, filepath.Join(d, "member", "wal", "0-0.wal"), "x") }, wal: true},
		"a half-made database": {make: func(t *testing.T, d, _ string) { database(t, filepath.Join(d, "member", "snap", "db"), nil) }},
		"an empty database":    {make: func(t *testing.T, d, _ string) { write(t, filepath.Join(d, "member", "snap", "db"), "") }},
		"data without its WAL": {make: func(t *testing.T, d, _ string) {
			database(t, filepath.Join(d, "member", "snap", "db"), []byte{0, 0, 0, 0, 0, 0, 1, 0})
		}, wal: true, fail: "applied up to index 256"},
		"snapshots without a WAL": {make: func(t *testing.T, d, _ string) { write(t, filepath.Join(d, "member", "snap", "0-0.snap"), "x") }, fail: "raft snapshots"},
		"a damaged database": {make: func(t *testing.T, d, _ string) {
			write(t, filepath.Join(d, "member", "snap", "db"), strings.Repeat("x", 8192))
		}, fail: "cannot read database"},
		"a folder that cannot be read": {make: func(t *testing.T, d, _ string) { write(t, filepath.Join(d, "member"), "a file") }, fail: "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, wal := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "wal")
			tc.make(t, data, wal)
			if !tc.wal {
				wal = ""
			}
			got, err := Initialised(data, wal)
			if tc.fail == "" && err != nil || tc.fail != "" && (err == nil || !strings.Contains(err.Error(), tc.fail)) || got != tc.want {
				t.Errorf("%v %v, want %v %q", got, err, tc.want, tc.fail)
			}
		})
	}
}

func TestInitialisedWhileInUse(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	path := filepath.Join(data, "member", "snap", "db")
	database(t, path, nil)
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := Initialised(data, ""); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("%v", err)
	}
}
