package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"quorate/internal/resources"
	"quorate/kvserver"
	"quorate/kvserver/datadir"
)

const three = "a=https://10.0.0.1:2380,b=https://10.0.0.2:2380,c=https://10.0.0.3:2380"

// options to restore a file as member a of three, into a folder that is not there yet.
func options(t *testing.T, file string) Options {
	t.Helper()
	return Options{File: Snapshot{Path: file}, DataDir: filepath.Join(t.TempDir(), "data"), Name: "a", InitialCluster: three, Token: "new", Server: "3.7", UID: -1, GID: -1}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	file := aSnapshot(t)
	before := digest(t, file)
	for name, tc := range map[string]struct {
		change            func(t *testing.T, o *Options)
		revision, compact int64
	}{
		"as it is": {func(*testing.T, *Options) {}, 301, 250},
		"bumped":   {func(_ *testing.T, o *Options) { o.TargetRevision = 1_000_000_301 }, 1_000_000_301, 1_000_000_301},
		"by one":   {func(_ *testing.T, o *Options) { o.TargetRevision = 302 }, 302, 302},
		"a WAL of its own, and its sha256": {func(t *testing.T, o *Options) {
			o.WALDir, o.File.SHA256 = filepath.Join(t.TempDir(), "wal"), strings.ToUpper(before)
		}, 301, 250},
		"into folders that it makes and holds": {func(t *testing.T, o *Options) {
			o.Hold, o.DataDir, o.WALDir, o.TargetRevision = true, filepath.Join(t.TempDir(), "staging"), filepath.Join(t.TempDir(), "staging", "wal"), 999
		}, 999, 999},
		"into empty mount points": {func(t *testing.T, o *Options) { o.DataDir, o.WALDir = t.TempDir(), t.TempDir() }, 301, 250},
		"one member": {func(_ *testing.T, o *Options) {
			o.InitialCluster, o.Name = "x=https://[::1]:2380", "x"
		}, 301, 250},
		"a copy of the database": {func(t *testing.T, o *Options) {
			o.File = Snapshot{Path: filepath.Join(t.TempDir(), "db"), SkipHash: true}
			database(t, o.File.Path)
		}, 301, 250},
		"a snapshot with the switch for a copy": {func(_ *testing.T, o *Options) { o.File.SkipHash = true }, 301, 250},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, file)
			tc.change(t, &o)
			var told []kvserver.RestoreProgress
			o.Progress = func(p kvserver.RestoreProgress) { told = append(told, p) }
			r, err := Restore(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if len(told) == 0 || told[0].Part != CheckPart || told[len(told)-1].Done > told[len(told)-1].Of {
				t.Errorf("progress: %+v", told)
			}
			if digest(t, file) != before {
				t.Error("the snapshot has changed")
			}
			i, err := datadir.Inspect(o.DataDir, o.WALDir)
			if err != nil || len(i.Problems) > 0 || !i.Member || i.BootstrapOnly {
				t.Fatalf("%+v %v", i, err)
			}
			if i.ClusterID != r.ClusterID || i.MemberID != r.MemberID || r.MemberID != r.Members[o.Name] || len(r.Members) != strings.Count(o.InitialCluster, "=") {
				t.Errorf("%+v, the disk says %+v", r, i)
			}
			if r.Revision != tc.revision || r.CompactRevision != tc.compact || i.DB.Revision != tc.revision || r.Snapshot.Revision != 301 || r.Seconds <= 0 {
				t.Errorf("%+v %+v", r, i.DB)
			}
			// What it stands for stays: a server that is started on it goes on refusing writes.
			if d := cmp.Diff([]kvserver.SnapshotAlarm{{Member: "7", Alarm: "NOSPACE"}}, r.Snapshot.Alarms); d != "" {
				t.Error(d)
			}
			if c, err := datadir.Content(datadir.Database(o.DataDir)); err != nil || !slices.Equal(c.Alarms, r.Snapshot.Alarms) {
				t.Errorf("%+v %v", c, err)
			}
			private(t, o.DataDir)
			if o.WALDir != "" {
				private(t, o.WALDir)
			}
			// It is a member now, and nothing that a second restore may take away.
			if _, err := Restore(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is not empty (member is there)") && !o.Hold {
				t.Errorf("%v", err)
			}
			if again, err := datadir.Inspect(o.DataDir, o.WALDir); err != nil || !cmp.Equal(i, again) {
				t.Errorf("%+v %v", again, err)
			}
		})
	}
}

// A cluster that never held a key has a snapshot too, and its restore goes on above the target as well.
func TestRestoreOfAnEmptyOne(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "db")
	be := backend.NewDefaultBackend(zap.NewNop(), db, backend.WithMmapSize(1<<24))
	mvcc.NewStore(zap.NewNop(), be, &lease.FakeLessor{}, mvcc.StoreConfig{}).Close()
	schema.NewMembershipBackend(zap.NewNop(), be).MustCreateBackendBuckets()
	be.Close()
	o := options(t, snapshotOf(t, db))
	o.InitialCluster, o.TargetRevision = "a=http://127.0.0.1:1", 1000
	r, err := Restore(t.Context(), o)
	if err != nil || r.Snapshot.Revision != 1 || r.Snapshot.Stored != 0 || r.Revision != 1000 || r.CompactRevision != 1000 {
		t.Fatalf("%+v %v", r, err)
	}
	if a, err := askServer(t.Context(), o.DataDir, 1000, t.Output()); err != nil || a.keys != 0 || a.revision != 1000 || a.hash.CompactRevision != 1000 {
		t.Errorf("%+v %v", a, err)
	}
}

// private: everything is its owner's only, and nothing is left of the work.
func private(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && (info.Mode().Perm()&0o077 != 0 || strings.Contains(path, work) || strings.HasSuffix(path, ".tmp")) {
			err = fmt.Errorf("%s %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// All of it belongs to the account that the member runs as, the folders themselves too.
func TestRestoreOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("giving a file away wants root")
	}
	o := options(t, aSnapshot(t))
	o.WALDir, o.UID, o.GID = filepath.Join(t.TempDir(), "wal"), 4711, 4712
	if _, err := Restore(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	all := names(t, o.DataDir, o.WALDir)
	if len(all) < 6 {
		t.Errorf("%v", all)
	}
	for _, path := range all {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil || st.Uid != 4711 || st.Gid != 4712 {
			t.Errorf("%s: %d:%d %v", path, st.Uid, st.Gid, err)
		}
	}
}

// The same everywhere: ids come from names, URLs and token alone.
func TestRestoreGivesAllMembersTheSameCluster(t *testing.T) {
	t.Parallel()
	file := aSnapshot(t)
	var first kvserver.Restored
	for _, name := range []string{"a", "b", "c"} {
		o := options(t, file)
		o.Name = name
		r, err := Restore(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if first.ClusterID == "" {
			first = r
		}
		if r.ClusterID != first.ClusterID || !cmp.Equal(r.Members, first.Members) || r.MemberID != first.Members[name] {
			t.Errorf("%+v, was %+v", r, first)
		}
	}
	o := options(t, file)
	o.Token = "another"
	if r, err := Restore(t.Context(), o); err != nil || r.ClusterID == first.ClusterID || r.MemberID == first.MemberID {
		t.Errorf("with another token: %+v %v", r, err)
	}
}

// What is refused leaves nothing behind, and what was there is left.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	whole := aSnapshot(t)
	for name, tc := range map[string]struct {
		change func(t *testing.T, o *Options)
		want   string
	}{
		"no such file":  {func(_ *testing.T, o *Options) { o.File.Path += "x" }, "no such file"},
		"a folder":      {func(t *testing.T, o *Options) { o.File.Path = t.TempDir() }, "no regular file"},
		"an empty file": {func(t *testing.T, o *Options) { write(t, o.File.Path, nil) }, "it has 0 bytes: it is empty"},
		"a cut upload":  {func(t *testing.T, o *Options) { os.Truncate(o.File.Path, 5000) }, "do not end with a checksum"},
		"cut at a sector": {func(t *testing.T, o *Options) {
			os.Truncate(o.File.Path, 512*10+32)
		}, "it is damaged: its sha256 is"},
		"one byte is another": {func(t *testing.T, o *Options) {
			spoil(t, o.File.Path, func(b []byte) []byte { b[9999] ^= 1; return b })
		}, "it is damaged"},
		"another one, although for a copy": {func(t *testing.T, o *Options) {
			o.File.SkipHash = true
			spoil(t, o.File.Path, func(b []byte) []byte { b[9999] ^= 1; return b })
		}, "it is damaged"},
		"not the one that was meant":    {func(_ *testing.T, o *Options) { o.File.SHA256 = strings.Repeat("0", 64) }, "it is another file"},
		"a database without the switch": {func(t *testing.T, o *Options) { database(t, o.File.Path+"db"); o.File.Path += "db" }, "use --skip-hash-check"},
		"a torn copy of a database": {func(t *testing.T, o *Options) {
			o.File = Snapshot{Path: o.File.Path + "db", SkipHash: true}
			database(t, o.File.Path)
			spoil(t, o.File.Path, func(b []byte) []byte {
				for page := range slices.Chunk(b[2*os.Getpagesize():], 2*os.Getpagesize()) {
					clear(page[:os.Getpagesize()])
				}
				return b
			})
		}, "damaged"},
		"no database at all": {func(t *testing.T, o *Options) {
			o.File.SkipHash = true
			write(t, o.File.Path, []byte(strings.Repeat("x", 8192)))
		}, "invalid database"},
		"a target below":         {func(_ *testing.T, o *Options) { o.TargetRevision = 300 }, "its revision is 301, and the target 300 is not above that"},
		"the same target":        {func(_ *testing.T, o *Options) { o.TargetRevision = 301 }, "not above"},
		"a target below nothing": {func(_ *testing.T, o *Options) { o.TargetRevision = -5 }, "not above"},
		"a target at the end":    {func(_ *testing.T, o *Options) { o.TargetRevision = math.MaxInt64 }, "leaves too little"},
		"of a newer etcd": {func(t *testing.T, o *Options) {
			o.Server = "3.5.9"
			o.File = Snapshot{Path: o.File.Path + "db", SkipHash: true}
			database(t, o.File.Path)
			stored(t, o.File.Path, "meta", "storageVersion", "3.6.0")
		}, "etcd 3.6 wrote it, and etcd 3.5 is to read it"},
		"for no version":      {func(_ *testing.T, o *Options) { o.Server = "new" }, "is no minor version"},
		"not in the cluster":  {func(_ *testing.T, o *Options) { o.Name = "d" }, `member "d" is not in the initial cluster`},
		"no cluster":          {func(_ *testing.T, o *Options) { o.InitialCluster = "a=:" }, "initial cluster"},
		"no token":            {func(_ *testing.T, o *Options) { o.Token = "" }, "a token"},
		"nowhere":             {func(_ *testing.T, o *Options) { o.DataDir = "/nowhere/at/all" }, "no such file"},
		"a file in its place": {func(t *testing.T, o *Options) { write(t, o.DataDir, nil) }, "not a directory"},
		"a member's data": {func(t *testing.T, o *Options) {
			os.MkdirAll(filepath.Join(o.DataDir, "member", "wal"), 0o700)
		}, "is not empty (member is there)"},
		"a member's log": {func(t *testing.T, o *Options) {
			o.WALDir = t.TempDir()
			write(t, filepath.Join(o.WALDir, "0-0.wal"), []byte("x"))
		}, "is not empty (0-0.wal is there)"},
		"unfinished, with something else in it": {func(t *testing.T, o *Options) {
			os.MkdirAll(filepath.Join(o.DataDir, work), 0o700)
			write(t, filepath.Join(o.DataDir, "notes"), nil)
		}, "which no restore has made"},
		"unfinished, and the log of another member": {func(t *testing.T, o *Options) {
			os.MkdirAll(filepath.Join(o.DataDir, work), 0o700)
			write(t, filepath.Join(o.DataDir, work, "wal-dir"), []byte("/another/wal"))
			o.WALDir = t.TempDir()
			write(t, filepath.Join(o.WALDir, "0-0.wal"), []byte("x"))
		}, "its WAL is in /another/wal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, filepath.Join(t.TempDir(), "snapshot"))
			text, err := os.ReadFile(whole)
			if err != nil {
				t.Fatal(err)
			}
			write(t, o.File.Path, text)
			tc.change(t, &o)
			before := names(t, o.DataDir, o.WALDir)
			_, err = Restore(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), fmt.Sprintf("cannot restore snapshot %q: ", o.File.Path)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if d := cmp.Diff(before, names(t, o.DataDir, o.WALDir)); d != "" {
				t.Errorf("it has left something, or taken it: %s", d)
			}
		})
	}
}

// names are all paths below folders.
func names(t *testing.T, dirs ...string) (all []string) {
	t.Helper()
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it was removed meanwhile
			}
			all = append(all, path)
			return err
		})
		if err != nil && !errors.Is(err, syscall.ENOTDIR) {
			t.Fatal(err)
		}
	}
	return all
}

// Whoever gives up in between has nothing left of it.
func TestRestoreEndsWithItsContext(t *testing.T) {
	t.Parallel()
	o := options(t, aSnapshot(t))
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(kvserver.RestoreProgress) { cancel() }
	if _, err := Restore(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left := names(t, o.DataDir); len(left) > 1 {
		t.Errorf("left: %v", left)
	}
}

// A process that is killed at any moment, told by how much it has put on the disk so far, leaves what the next one
// takes away and makes anew. The last one finishes.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	o := options(t, aSnapshot(t))
	o.WALDir, o.TargetRevision = filepath.Join(t.TempDir(), "wal"), 5000
	text, err := json.Marshal(map[string]any{"File": o.File, "DataDir": o.DataDir, "WALDir": o.WALDir, "Name": o.Name, "InitialCluster": o.InitialCluster, "Token": o.Token, "Server": o.Server, "TargetRevision": o.TargetRevision})
	if err != nil {
		t.Fatal(err)
	}
	killed := killedAtEach(t, "restore", string(text), func() int { return len(names(t, o.DataDir, o.WALDir)) })
	if killed < 2 {
		t.Errorf("killed %d times only: this shows little", killed)
	}
	i, err := datadir.Inspect(o.DataDir, o.WALDir)
	if err != nil || len(i.Problems) > 0 || i.DB == nil || i.DB.Revision != 5000 || len(i.Members) != 3 {
		t.Errorf("%+v %v", i, err)
	}
	private(t, o.DataDir)
	private(t, o.WALDir)
}

func TestRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := resources.Room(dir, 1); err != nil {
		t.Error(err)
	}
	err := resources.Room(dir, 1<<62)
	if err == nil || !strings.Contains(err.Error(), dir+" has room for ") || !strings.Contains(err.Error(), "4.0 EiB (4611686018427387904 bytes) are needed") {
		t.Errorf("%v", err)
	}
	// The log is counted where it goes.
	if err := room(staging{data: dir, wal: t.TempDir()}, 1<<61); err == nil || !strings.Contains(err.Error(), fmt.Sprint(1<<61+128_000_000+margin)) {
		t.Errorf("%v", err)
	}
}
