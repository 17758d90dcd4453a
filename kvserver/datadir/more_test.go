package datadir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"go.etcd.io/raft/v3/raftpb"
)

// whole is a disk with a database that etcd's own packages have made, beside a log of several files.
func whole(t *testing.T) (d *disk, inUse int64) {
	t.Helper()
	d = newDisk(t).save(1, 3, bootstrap(t, 3)...)
	data := make([]byte, 8<<20)
	for index := uint64(4); index < 14; index++ {
		d.save(2, index-1, entry(2, index, data))
	}
	if err := d.wal.Save(&raftpb.HardState{Term: new(uint64(3)), Commit: new(uint64(13)), Vote: new(uint64(0xab))}, nil); err != nil {
		t.Fatal(err)
	}
	path := Database(d.dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	_, inUse = etcdDatabase(t, path, nil)
	return d, inUse
}

// The default looks at the end of the log and a few pages; what is asked for besides is found besides.
func TestInspectMore(t *testing.T) {
	t.Parallel()
	d, inUse := whole(t)
	plain := d.inspect()
	if plain.DB == nil || plain.DB.CompactRevision != 250 || plain.DB.SizeInUse != 0 || plain.DB.Hash != nil || plain.Checked || plain.Log.Vote != "ab" || len(plain.Problems) > 0 {
		t.Errorf("%+v %+v %+v", plain, plain.DB, plain.Log)
	}
	h, _, err := Hash(Database(d.dir))
	if err != nil {
		t.Fatal(err)
	}
	before := list(t, d.dir)
	for _, more := range []More{{}, {Check: true}, {Hash: true}, {Check: true, Hash: true}} {
		want := plain
		db := *plain.DB
		want.DB = &db
		if more.Check {
			want.Checked, want.DB.SizeInUse = true, inUse
		}
		if more.Hash {
			want.DB.Hash = &h.Hash
		}
		got, err := InspectMore(d.dir, "", more)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%+v: %s", more, d)
		}
	}
	if d := cmp.Diff(before, list(t, d.dir)); d != "" {
		t.Errorf("looking has changed the disk: %s", d)
	}
}

// Damage that the default passes over.
func TestInspectMoreFindsDamage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(t *testing.T, d *disk)
		want   string
	}{
		"in an old file of the log": {func(t *testing.T, d *disk) {
			names, err := withSuffix(d.walDir(), ".wal")
			if err != nil || len(names) < 2 {
				t.Fatal(names, err)
			}
			spoil(t, filepath.Join(d.walDir(), names[0]), func(b []byte) []byte { b[9<<20] ^= 1; return b })
		}, "the WAL cannot be read from its beginning: walpb: crc mismatch"},
		"in the database": {func(t *testing.T, d *disk) {
			put(t, Database(d.dir), "key", "short", "x")
		}, `bucket "key" is damaged: 73686f7274 is no revision`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, _ := whole(t)
			tc.change(t, d)
			if i := d.inspect(); len(i.Problems) > 0 {
				t.Errorf("the default says %q", i.Problems)
			}
			i, err := InspectMore(d.dir, "", More{Check: true, Hash: true})
			if err != nil || len(i.Problems) == 0 || !strings.Contains(strings.Join(i.Problems, "\n"), tc.want) || !i.Checked || !i.Damaged {
				t.Errorf("%+v %v, want %q", i, err, tc.want)
			}
		})
	}
}

// Of a member that runs nothing more is found out, and nothing is claimed.
func TestInspectMoreWhileItRuns(t *testing.T) {
	t.Parallel()
	d, _ := whole(t)
	db, err := bolt.Open(Database(d.dir), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	i, err := InspectMore(d.dir, "", More{Check: true, Hash: true})
	if err != nil || !i.Running || i.Checked || i.DB != nil {
		t.Errorf("%+v %v", i, err)
	}
	if i, err := InspectMore(t.TempDir(), "", More{Check: true, Hash: true}); err != nil || i.Checked || !cmp.Equal(i.Problems, []string(nil)) {
		t.Errorf("%+v %v", i, err)
	}
	if _, err := InspectMore("\x00", "", More{Check: true}); err == nil {
		t.Error("a folder that cannot be there")
	}
}
