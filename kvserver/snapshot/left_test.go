package snapshot

import (
	"os"
	"path/filepath"
	"slices"
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
