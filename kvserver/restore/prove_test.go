package restore

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"go.uber.org/zap"

	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"quorate/internal/resources"
	"quorate/kvserver"
	"quorate/kvserver/datadir"
)

func TestProve(t *testing.T) {
	t.Parallel()
	file := aSnapshot(t)
	before := digest(t, file)
	known, _, err := datadir.Hash(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(p *Proof)
		want   []string
	}{
		"nothing is known": {func(*Proof) {}, nil},
		"all is as it was": {func(p *Proof) {
			p.Revision, p.CompactRevision, p.Hash, p.File.SHA256 = new(known.Revision), new(known.CompactRevision), new(known.Hash), before
		}, nil},
		"another revision":             {func(p *Proof) { p.Revision = new(int64(300)) }, []string{"the revision is 301, and should be 300"}},
		"another hash":                 {func(p *Proof) { p.Hash = new(uint32(1)) }, []string{"the hash at revision 301 is "}},
		"never compacted, and another": {func(p *Proof) { p.CompactRevision, p.Revision = new(int64(-1)), new(int64(1)) }, []string{"the revision is 301", "the compact revision is 250, and should be -1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Proof{File: Snapshot{Path: file}, Work: filepath.Join(t.TempDir(), "work"), Log: t.Output()}
			tc.change(&p)
			r, err := Prove(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if r.Hash != known.Hash || r.Content.Revision != 301 || r.Keys != 49 || r.RestoreSeconds <= 0 || r.ServeSeconds <= 0 || r.PeakMemory < 1<<20 {
				t.Errorf("%+v", r)
			}
			if r.Agreed != (tc.want == nil) || len(r.Differences) != len(tc.want) {
				t.Errorf("%q, want %q", r.Differences, tc.want)
			}
			for i, want := range tc.want {
				if !strings.HasPrefix(r.Differences[i], want) {
					t.Errorf("%q, want %q", r.Differences[i], want)
				}
			}
			if left, _ := exists(p.Work); left || digest(t, file) != before {
				t.Error("it has left something, or changed the file")
			}
		})
	}
}

// Users that nobody here knows, and an alarm under which etcd answers no client at all, hide nothing.
func TestProveBelowTheAPI(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "db")
	database(t, db)
	be := backend.NewDefaultBackend(zap.NewNop(), db, backend.WithMmapSize(1<<24))
	schema.NewAlarmBackend(zap.NewNop(), be).MustPutAlarm(&etcdserverpb.AlarmMember{MemberID: 7, Alarm: etcdserverpb.AlarmType_CORRUPT})
	auth := schema.NewAuthBackend(zap.NewNop(), be)
	auth.CreateAuthBuckets()
	tx := auth.BatchTx()
	tx.Lock()
	tx.UnsafePutUser(&authpb.User{Name: []byte("root"), Password: []byte("secret"), Roles: []string{"root"}})
	tx.UnsafePutRole(&authpb.Role{Name: []byte("root")})
	tx.UnsafeSaveAuthEnabled(true)
	tx.Unlock()
	be.ForceCommit()
	be.Close()
	r, err := Prove(t.Context(), Proof{File: Snapshot{Path: snapshotOf(t, db)}, Work: t.TempDir(), Log: t.Output()})
	if err != nil || !r.Agreed || r.Keys != 49 || !r.Content.AuthEnabled || len(r.Content.Alarms) != 2 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestProveRefuses(t *testing.T) {
	t.Parallel()
	file := aSnapshot(t)
	work := func(change func(t *testing.T, dir string)) func(*testing.T, *Proof) {
		return func(t *testing.T, p *Proof) {
			if err := os.Mkdir(p.Work, 0o700); err != nil {
				t.Fatal(err)
			}
			change(t, p.Work)
		}
	}
	for name, tc := range map[string]struct {
		change func(t *testing.T, p *Proof)
		want   string
	}{
		"damaged": {func(t *testing.T, p *Proof) {
			p.File.Path = aSnapshot(t)
			spoil(t, p.File.Path, func(b []byte) []byte { b[9000] ^= 1; return b })
		}, "it is damaged"},
		"not the one that was meant": {func(_ *testing.T, p *Proof) { p.File.SHA256 = "00" }, "it is another file"},
		"nowhere to work":            {func(_ *testing.T, p *Proof) { p.Work = "" }, "it wants a folder to work in"},
		"no folder for it":           {func(_ *testing.T, p *Proof) { p.Work = filepath.Join(p.Work, "a", "b") }, "no such file"},
		"somebody's folder":          {work(func(t *testing.T, dir string) { write(t, filepath.Join(dir, "notes"), nil) }), "is not empty (notes is there)"},
		"another one is at it": {work(func(t *testing.T, dir string) {
			l := flock.New(filepath.Join(dir, workplaceMark))
			if got, err := l.TryLock(); !got || err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Unlock() })
		}), "another process works in it"},
		"a database that etcd does not take": {func(t *testing.T, p *Proof) {
			db := filepath.Join(t.TempDir(), "db")
			database(t, db)
			stored(t, db, "meta", "storageVersion", "3.9.0")
			p.File.Path = snapshotOf(t, db)
		}, "etcd 3.9 wrote it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Proof{File: Snapshot{Path: file}, Work: filepath.Join(t.TempDir(), "work")}
			tc.change(t, &p)
			before := names(t, p.Work)
			if r, err := Prove(t.Context(), p); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "cannot prove snapshot ") || r.Agreed {
				t.Errorf("%+v %v, want %q", r, err, tc.want)
			}
			if d := cmp.Diff(before, names(t, p.Work)); d != "" {
				t.Errorf("it has left something, or taken it: %s", d)
			}
		})
	}
}

func TestMemoryFor(t *testing.T) {
	t.Parallel()
	if err := memoryFor(kvserver.SnapshotContent{Versions: 10}); err != nil {
		t.Error(err)
	}
	if _, known := resources.Memory(); !known {
		t.Skip("this machine does not say how much memory it has")
	}
	if err := memoryFor(kvserver.SnapshotContent{Versions: 1 << 50}); err == nil || !strings.Contains(err.Error(), "for its 1125899906842624 stored versions of keys") {
		t.Errorf("%v", err)
	}
}

// Killed at any moment, the next one takes away what is left, and nothing is left of that.
func TestProveKilled(t *testing.T) {
	t.Parallel()
	file := aSnapshot(t)
	before := digest(t, file)
	p := map[string]any{"File": Snapshot{Path: file}, "Work": filepath.Join(t.TempDir(), "work")}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	killed := killedAtEach(t, "prove", string(text), func() int { return len(names(t, p["Work"].(string))) })
	if left := names(t, p["Work"].(string)); len(left) > 0 || killed < 2 || digest(t, file) != before {
		t.Errorf("killed %d times, left %v", killed, left)
	}
}

// Bolt refuses to open what another one writes: whoever stops the proof's server gives the database back.
func TestEngineGivesTheDatabaseBack(t *testing.T) {
	t.Parallel()
	o := options(t, aSnapshot(t))
	o.InitialCluster = "a=http://127.0.0.1:1"
	if _, err := Restore(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := askServer(t.Context(), o.DataDir, 301, t.Output()); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(datadir.Database(o.DataDir), 0o600, &bolt.Options{Timeout: 1})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := askServer(t.Context(), o.DataDir, 5000, t.Output()); err == nil || !strings.Contains(err.Error(), "no hash at revision 5000") {
		t.Errorf("%v", err)
	}
	if _, err := askServer(t.Context(), t.TempDir(), 1, t.Output()); err == nil {
		t.Error("it started without a member")
	}
}
