package snapshot

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// What somebody who was killed has left goes with the next backup; what is others', or may still be being written, stays.
func TestLeft(t *testing.T) {
	t.Parallel()
	m := serveMember(t, 5)
	const name = "lab-20261130T210000Z-etcd1.db.zst"
	old, young := time.Now().Add(-time.Hour), time.Now()
	stays := []string{}
	for _, c := range []struct {
		file string
		at   time.Time
		goes bool
	}{
		{"." + name + ".part", young, true}, {"." + name + ".packed.part", young, true}, {".lab-2-20261130T210000Z-etcd1.db.part", old, false},
		{"." + name + ".json.123", old, true}, {"." + name + ".json.124", young, false}, {".lab-2-20261130T210000Z-etcd1.db.json.125", old, false},
		{"..state-lab.json.126", old, true}, {"..state-lab.json.127", young, false}, {"..state-lab-2.json.128", old, false},
		{".state-lab.json", old, false}, {"notes.json.1", old, false},
		{".verify-123", young, true}, {".verify-notes", old, false}, {"x.verify-123", old, false},
	} {
		path := put(t, filepath.Join(m.request.Dir, c.file), nil)
		if err := os.Chtimes(path, c.at, c.at); err != nil {
			t.Fatal(err)
		}
		if !c.goes {
			stays = append(stays, c.file)
		}
	}
	b, err := Save(t.Context(), m.request, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	want := append(stays, b.Name, b.Name+".json")
	slices.Sort(want)
	if got := m.files(t); !slices.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
}

// What a verification that was killed has left goes with the next one; that of one that goes on stays, also while many begin and end.
func TestLeftOfVerifications(t *testing.T) {
	t.Parallel()
	db, _ := database(t, 5)
	path := put(t, filepath.Join(t.TempDir(), "snapshot.db.gz"), zip(t, withHash(db), "gzip"))
	dir := filepath.Dir(path)
	put(t, filepath.Join(dir, ".verify-1"), []byte("left"))
	if err := os.Symlink(path, filepath.Join(dir, ".verify-2")); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, plain, done, err := Unpack(t.Context(), path, VerifyOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			defer done()
			if _, err := Verify(t.Context(), path, VerifyOptions{}); err != nil {
				t.Error(err)
			}
			if got, err := os.ReadFile(plain); err != nil || !bytes.Equal(got, withHash(db)) {
				t.Errorf("somebody else has taken it: %v", err)
			}
		})
	}
	all.Wait()
	var left []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if !slices.Equal(left, []string{".verify-2", "snapshot.db.gz"}) {
		t.Errorf("there is %q", left)
	}
}
