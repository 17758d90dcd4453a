package snapshot

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"quorate/kvserver"
)

// What came of proving one is kept beside it and changes nothing else; one that was not what it should be is no good one any more.
func TestNoteAProof(t *testing.T) {
	t.Parallel()
	m := serveMember(t, 50)
	plainAt := ""
	b, err := Save(t.Context(), m.request, Options{Now: time.Now(), Then: func(plain string, b *kvserver.Backup) {
		plainAt = plain
		if got, err := os.ReadFile(plain); err != nil || !bytes.Equal(got, withHash(m.db)) {
			t.Errorf("what it is given to prove is not the snapshot: %d bytes, %v", len(got), err)
		}
		if _, err := Metadata(filepath.Join(m.request.Dir, b.Name)); err != nil {
			t.Errorf("it is asked before the backup is in place: %v", err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(plainAt); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the plain snapshot is still there: %v", err)
	}
	path := filepath.Join(m.request.Dir, b.Name)
	for _, p := range []kvserver.BackupProof{
		{At: time.Unix(1e9, 0).UTC(), Agreed: true, RestoreSeconds: 1.5, ServeSeconds: 0.25},
		{At: time.Unix(1e9+60, 0).UTC(), Agreed: false},
	} {
		if err := Note(path, p); err != nil {
			t.Fatal(err)
		}
		all, err := List(m.request.Dir, "lab", 1)
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v %v", all, err)
		}
		if l := all[0]; l.Good() != p.Agreed || l.Backup.Proof == nil || *l.Backup.Proof != p || l.Backup.PackedSHA256 != b.PackedSHA256 {
			t.Errorf("%+v of %+v", l, p)
		}
	}
	if err := Note(path+"x", kvserver.BackupProof{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a proof of nothing: %v", err)
	}
}
