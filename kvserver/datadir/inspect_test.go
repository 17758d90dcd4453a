package datadir

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"

	"quorate/kvserver"
)

// disk is a data directory in the making: a WAL as etcd's own package writes it.
type disk struct {
	t   *testing.T
	dir string
	wal *wal.WAL
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{t: t, dir: t.TempDir()}
	metadata, err := proto.Marshal(&etcdserverpb.Metadata{ClusterID: new(uint64(0xc1)), NodeID: new(uint64(1))})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(d.dir, "member"), 0o700); err != nil {
		t.Fatal(err)
	}
	if d.wal, err = wal.Create(nil, d.walDir(), metadata); err != nil {
		t.Fatal(err)
	}
	d.wal.SetUnsafeNoFsync()
	t.Cleanup(func() { d.wal.Close() })
	return d
}

func (d *disk) walDir() string { return filepath.Join(d.dir, "member", "wal") }

func (d *disk) save(term, commit uint64, entries ...*raftpb.Entry) *disk {
	d.t.Helper()
	if err := d.wal.Save(&raftpb.HardState{Term: &term, Commit: &commit}, entries); err != nil {
		d.t.Fatal(err)
	}
	return d
}

func (d *disk) snapshot(term, index uint64) *disk {
	d.t.Helper()
	if err := d.wal.SaveSnapshot(&walpb.Snapshot{Term: &term, Index: &index, ConfState: &raftpb.ConfState{Voters: []uint64{1}}}); err != nil {
		d.t.Fatal(err)
	}
	return d
}

// db makes a database applied up to index with one key at a revision.
func (d *disk) db(index byte, revision byte) *disk {
	d.t.Helper()
	path := filepath.Join(snapDir(d.dir), "db")
	database(d.t, path, []byte{0, 0, 0, 0, 0, 0, 0, index})
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"key", "members", "members_removed", "cluster"} {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte("key")).Put(append([]byte{0, 0, 0, 0, 0, 0, 0, revision}, "_........"...), []byte("v"))
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return d
}

func (d *disk) inspect() kvserver.Inspection {
	d.t.Helper()
	before := list(d.t, d.dir)
	i, err := within(time.Minute, d.dir, "") // however loaded this machine is
	if err != nil {
		d.t.Fatal(err)
	}
	if d := cmp.Diff(before, list(d.t, d.dir)); d != "" {
		panic("looking has changed the disk: " + d)
	}
	if _, err := json.Marshal(i); err != nil {
		d.t.Fatal(err)
	}
	return i
}

// list is all that a folder holds, with sizes and times of change.
func list(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && !e.IsDir() && filepath.Ext(path) != ".tmp" { // the next WAL file, which etcd's package prepares in the background
			all = append(all, fmt.Sprint(path, info.Mode(), info.ModTime().UnixNano()))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func entry(term, index uint64, data []byte) *raftpb.Entry {
	return &raftpb.Entry{Term: &term, Index: &index, Type: raftpb.EntryNormal.Enum(), Data: data}
}

func change(t *testing.T, term, index uint64, kind raftpb.ConfChangeType, id uint64, context string) *raftpb.Entry {
	t.Helper()
	data, err := proto.Marshal(&raftpb.ConfChange{Type: kind.Enum(), NodeId: &id, Context: []byte(context)})
	if err != nil {
		t.Fatal(err)
	}
	e := entry(term, index, data)
	e.Type = raftpb.EntryConfChange.Enum()
	return e
}

// bootstrap are the entries of a static bootstrap, as raft's RawNode.Bootstrap makes them.
func bootstrap(t *testing.T, n int) (entries []*raftpb.Entry) {
	for i := range uint64(n) {
		entries = append(entries, change(t, 1, i+1, raftpb.ConfChangeAddNode, i+1, fmt.Sprintf(`{"id":%d,"peerURLs":["https://m%d:2380"],"name":"m%d"}`, i+1, i+1, i+1)))
	}
	return entries
}

// What counts as the bootstrap's own, and what is one entry more.
func TestBootstrapOnly(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		make func(t *testing.T, d *disk)
		want bool
		last uint64
	}{
		"as born":                       {func(t *testing.T, d *disk) { d.save(1, 3, bootstrap(t, 3)...) }, true, 3},
		"one member":                    {func(t *testing.T, d *disk) { d.save(1, 1, bootstrap(t, 1)...) }, true, 1},
		"with its database":             {func(t *testing.T, d *disk) { d.save(1, 3, bootstrap(t, 3)...).db(3, 1) }, true, 3},
		"voted, and nobody won":         {func(t *testing.T, d *disk) { d.save(1, 3, bootstrap(t, 3)...).save(7, 3) }, true, 3},
		"a first entry of a leader":     {func(t *testing.T, d *disk) { d.save(1, 3, bootstrap(t, 3)...).save(2, 3, entry(2, 4, nil)) }, false, 4},
		"written over by a leader":      {func(t *testing.T, d *disk) { d.save(1, 3, bootstrap(t, 3)...).save(2, 3, entry(2, 3, nil)) }, false, 3},
		"commits more":                  {func(t *testing.T, d *disk) { d.save(1, 3, bootstrap(t, 3)...).save(2, 4) }, false, 3},
		"nothing yet, or about to join": {func(t *testing.T, d *disk) {}, false, 0},
		"joined: a snapshot from the leader": {func(t *testing.T, d *disk) {
			d.snapshot(4, 90).save(4, 90)
		}, false, 90},
		"restored from a backup": {func(t *testing.T, d *disk) {
			d.save(1, 3, bootstrap(t, 3)...).snapshot(1, 3).db(3, 200)
		}, false, 3},
		"a raft snapshot beside it": {func(t *testing.T, d *disk) {
			d.save(1, 3, bootstrap(t, 3)...)
			write(t, filepath.Join(snapDir(d.dir), "1-3.snap"), "x")
		}, false, 3},
		"a database with keys":       {func(t *testing.T, d *disk) { d.save(1, 3, bootstrap(t, 3)...).db(3, 2) }, false, 3},
		"a database that knows more": {func(t *testing.T, d *disk) { d.save(1, 3, bootstrap(t, 3)...).db(4, 1) }, false, 3},
		"a damaged database":         {func(t *testing.T, d *disk) { d.save(1, 3, bootstrap(t, 3)...); write(t, snapDir(d.dir)+"/db", "xx") }, false, 3},
		"a removal among them": {func(t *testing.T, d *disk) {
			d.save(1, 2, bootstrap(t, 1)[0], change(t, 1, 2, raftpb.ConfChangeRemoveNode, 1, ""))
		}, false, 2},
		"a learner: the bootstrap has none": {func(t *testing.T, d *disk) { d.save(1, 1, change(t, 1, 1, raftpb.ConfChangeAddLearnerNode, 1, "{}")) }, false, 1},
		"another term":                      {func(t *testing.T, d *disk) { d.save(2, 1, change(t, 2, 1, raftpb.ConfChangeAddNode, 1, "{}")) }, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t)
			tc.make(t, d)
			i := d.inspect()
			if i.BootstrapOnly != tc.want || i.Log == nil || i.Log.LastIndex != tc.last || !i.Member || i.ClusterID != "c1" || i.MemberID != "1" {
				t.Errorf("%+v %+v", i, i.Log)
			}
		})
	}
}

func TestInspectMembersFromTheLog(t *testing.T) {
	t.Parallel()
	d := newDisk(t).save(1, 3, bootstrap(t, 3)...)
	d.save(2, 9, entry(2, 4, nil),
		change(t, 2, 5, raftpb.ConfChangeAddLearnerNode, 0xe4, `{"id":228,"peerURLs":["https://m4:2380"],"isLearner":true}`),
		change(t, 2, 6, raftpb.ConfChangeRemoveNode, 2, ""),
		change(t, 2, 7, raftpb.ConfChangeUpdateNode, 3, `{"id":3,"peerURLs":["https://new:2380"]}`),
		change(t, 2, 8, raftpb.ConfChangeAddNode, 0xe4, `{"id":228,"isPromote":true}`),
		change(t, 2, 9, raftpb.ConfChangeAddLearnerNode, 0xe5, `{"id":229,"peerURLs":["https://m5:2380"],"isLearner":true}`),
		change(t, 2, 10, raftpb.ConfChangeRemoveNode, 1, "")) // not committed
	d.save(3, 9, change(t, 3, 10, raftpb.ConfChangeRemoveNode, 3, "")) // nor this, which took its place
	i := d.inspect()
	want := []kvserver.InspectedMember{
		{ID: "1", Name: "m1", PeerURLs: []string{"https://m1:2380"}},
		{ID: "3", Name: "m3", PeerURLs: []string{"https://new:2380"}},
		{ID: "e4", PeerURLs: []string{"https://m4:2380"}},
		{ID: "e5", PeerURLs: []string{"https://m5:2380"}, Learner: true},
	}
	if d := cmp.Diff(want, i.Members); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"2"}, i.Removed); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(&kvserver.InspectedLog{Term: 3, Commit: 9, LastTerm: 3, LastIndex: 10}, i.Log); d != "" {
		t.Error(d)
	}
	if i.BootstrapOnly || len(i.Problems) > 0 {
		t.Errorf("%+v", i)
	}
}

// A log of several files: the newest says it, and nothing but that is read.
func TestInspectManyFiles(t *testing.T) {
	t.Parallel()
	d := newDisk(t).save(1, 1, bootstrap(t, 1)...)
	index := uint64(1)
	data := make([]byte, 8<<20)
	for range 17 { // a file is cut once it has 64 MB
		index++
		d.save(2, index-1, entry(2, index, data))
	}
	names, err := withSuffix(d.walDir(), ".wal")
	if err != nil || len(names) != 3 {
		t.Fatalf("%v %v", names, err)
	}
	// The first two are damaged, which etcd would find out and this does not.
	write(t, filepath.Join(d.walDir(), names[0]), "x")
	i := d.inspect()
	if i.Log == nil || *i.Log != (kvserver.InspectedLog{Term: 2, Commit: index - 1, LastTerm: 2, LastIndex: index}) || i.BootstrapOnly || i.Members != nil || len(i.Problems) > 0 {
		t.Errorf("%+v %+v", i, i.Log)
	}
	// A new file without an entry yet: the one before it has the last one.
	for range 8 {
		index++
		d.save(2, index-1, entry(2, index, data))
		if names, _ = withSuffix(d.walDir(), ".wal"); len(names) == 4 {
			break
		}
	}
	if i := d.inspect(); len(names) != 4 || i.Log == nil || i.Log.LastIndex != index || i.Log.LastTerm != 2 {
		t.Errorf("%v %+v %+v", names, i, i.Log)
	}
	// One missing in between.
	if err := os.Remove(filepath.Join(d.walDir(), names[2])); err != nil {
		t.Fatal(err)
	}
	if i := d.inspect(); len(i.Problems) != 1 || !strings.Contains(i.Problems[0], "WAL files are missing between "+names[1]+" and "+names[3]) {
		t.Errorf("%+v", i.Problems)
	}
}

// spoil changes bytes in the middle of a file that etcd's package has written.
func spoil(t *testing.T, path string, change func(text []byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestInspectDamage(t *testing.T) {
	t.Parallel()
	const first = "0000000000000000-0000000000000000.wal"
	marker := []byte("MARKER-MARKER-MARKER-MARKER")
	for name, tc := range map[string]struct {
		make func(t *testing.T, d *disk)
		want []string // a part of each problem
		log  uint64   // last index; 0: not known
	}{
		"torn at the end": {func(t *testing.T, d *disk) {
			d.save(2, 4, entry(2, 4, nil), entry(2, 5, []byte(strings.Repeat(string(marker), 100))))
			spoil(t, filepath.Join(d.walDir(), first), func(b []byte) []byte {
				at := strings.LastIndex(string(b), string(marker)) - 600
				clear(b[at:])
				return b
			})
		}, []string{"the last record of the WAL is torn"}, 4},
		"cut off in a record": {func(t *testing.T, d *disk) {
			d.save(2, 4, entry(2, 4, nil), entry(2, 5, marker))
			spoil(t, filepath.Join(d.walDir(), first), func(b []byte) []byte { return b[:strings.LastIndex(string(b), string(marker))+5] })
		}, []string{"is torn"}, 4},
		"bytes changed": {func(t *testing.T, d *disk) {
			d.save(2, 5, entry(2, 4, marker), entry(2, 5, nil))
			spoil(t, filepath.Join(d.walDir(), first), func(b []byte) []byte { b[strings.Index(string(b), string(marker))] = 'X'; return b })
		}, []string{"the WAL cannot be read to its end: walpb: crc mismatch", "etcd will not start"}, 0},
		"its end is lost": {func(t *testing.T, d *disk) { d.save(2, 9, entry(2, 4, nil)) },
			[]string{"the log ends at index 4 and knows of index 9 as committed"}, 4},
		"no WAL file by its name": {func(t *testing.T, d *disk) {
			os.Rename(filepath.Join(d.walDir(), first), filepath.Join(d.walDir(), "x.wal"))
		},
			[]string{"is no WAL file by its name"}, 0},
		"not a WAL": {func(t *testing.T, d *disk) {
			spoil(t, filepath.Join(d.walDir(), first), func([]byte) []byte { return []byte(strings.Repeat("x", 4096)) })
		}, []string{"WAL"}, 3},
		"a database that is none": {func(t *testing.T, d *disk) { write(t, snapDir(d.dir)+"/db", strings.Repeat("x", 9000)) },
			[]string{"cannot read database"}, 3},
		"a database cut short": {func(t *testing.T, d *disk) {
			d.db(3, 1)
			spoil(t, snapDir(d.dir)+"/db", func(b []byte) []byte { return b[:2*os.Getpagesize()] }) // its two first pages only point
		}, []string{"is damaged"}, 3},
		"a database of zeros": {func(t *testing.T, d *disk) {
			d.db(3, 1)
			spoil(t, snapDir(d.dir)+"/db", func(b []byte) []byte { clear(b[2*os.Getpagesize():]); return b })
		}, []string{"is damaged"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t).save(1, 3, bootstrap(t, 3)...)
			d.wal.Sync()
			tc.make(t, d)
			d.wal.Sync()
			i := d.inspect()
			all := strings.Join(i.Problems, "\n")
			for _, want := range tc.want {
				if !strings.Contains(all, want) {
					t.Errorf("no word of %q in %q", want, i.Problems)
				}
			}
			if torn := strings.Contains(all, "torn"); i.Damaged == torn {
				t.Errorf("damaged is %t: %q", i.Damaged, i.Problems)
			}
			if !i.Member || i.BootstrapOnly || i.Running || strings.Contains(all, "\x00") {
				t.Errorf("%+v", i)
			}
			if name != "not a WAL" && (i.Log == nil) != (tc.log == 0) || i.Log != nil && name != "not a WAL" && i.Log.LastIndex != tc.log {
				t.Errorf("%+v", i.Log)
			}
		})
	}
}

// No member: nothing there, or what a refused start and a missing mount leave.
func TestInspectNoMember(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		make func(t *testing.T, dir string)
		want string
	}{
		"nothing at all":                       {func(t *testing.T, dir string) {}, ""},
		"an empty database of a refused start": {func(t *testing.T, dir string) { database(t, snapDir(dir)+"/db", nil) }, ""},
		"data without its WAL":                 {func(t *testing.T, dir string) { database(t, snapDir(dir)+"/db", []byte{0, 0, 0, 0, 0, 0, 1, 0}) }, "applied up to index 256"},
		"raft snapshots":                       {func(t *testing.T, dir string) { write(t, snapDir(dir)+"/1-1.snap", "x") }, "raft snapshots"},
		"a damaged database":                   {func(t *testing.T, dir string) { write(t, snapDir(dir)+"/db", "x") }, "cannot read database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			tc.make(t, dir)
			i, err := Inspect(dir, "")
			if err != nil || i.Member || i.Log != nil || i.DB != nil || i.Members != nil || i.ClusterID != "" || i.BootstrapOnly {
				t.Errorf("%+v %v", i, err)
			}
			if got := strings.Join(i.Problems, "\n"); tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "member"), "a file")
	if _, err := Inspect(dir, ""); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
}

// A disk that does not answer, here a pipe that nobody writes to, holds nobody up.
func TestInspectGivesUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(WALDir(dir, ""), 0o700); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(WALDir(dir, ""), "0000000000000000-0000000000000000.wal")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := within(50*time.Millisecond, dir, ""); err == nil || !strings.Contains(err.Error(), "does not answer within 50ms") {
		t.Errorf("%v", err)
	}
	// Let the reader go.
	if w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		w.Close()
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	if c, m, err := Identity(d.dir, ""); c != 0xc1 || m != 1 || err != nil {
		t.Errorf("%x %x %v", c, m, err)
	}
	if c, _, err := Identity("/nowhere", d.walDir()); c != 0xc1 || err != nil {
		t.Errorf("%x %v", c, err)
	}
	if _, _, err := Identity(t.TempDir(), ""); err == nil {
		t.Error("ids of nobody")
	}
}
