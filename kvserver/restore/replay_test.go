package restore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"

	"quorate/kvserver/datadir"
)

// aDisk is that of one of three members whose log begins with a snapshot (term 1, index 3, revision 301) and goes on with entries of
// term 2, the last of which it does not know to be committed. The peers are listed at addresses of these.
func aDisk(t *testing.T, peers [2]string, committed uint64, entries ...*raftpb.Entry) Disk {
	t.Helper()
	db := filepath.Join(t.TempDir(), "db")
	quietDatabase(t, db)
	o := options(t, snapshotOf(t, db))
	o.InitialCluster = fmt.Sprintf("a=http://127.0.0.1:1,b=http://%s,c=http://%s", peers[0], peers[1])
	if _, err := Restore(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	w := openWAL(t, o.DataDir)
	if err := w.Save(&raftpb.HardState{Term: new(uint64(2)), Vote: new(uint64(7)), Commit: &committed}, entries); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return Disk{DataDir: o.DataDir}
}

func openWAL(t *testing.T, dataDir string) *wal.WAL {
	t.Helper()
	w, err := wal.Open(zap.NewNop(), datadir.WALDir(dataDir, ""), &walpb.Snapshot{Index: new(uint64(3)), Term: new(uint64(1))})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := w.ReadAll(); err != nil {
		t.Fatal(err)
	}
	return w
}

var deadPeers = [2]string{"127.0.0.1:2", "127.0.0.1:3"}

func entryOf(index uint64, data []byte) *raftpb.Entry {
	return &raftpb.Entry{Term: new(uint64(2)), Index: &index, Type: raftpb.EntryNormal.Enum(), Data: data}
}

func request(t *testing.T, index uint64, r *etcdserverpb.InternalRaftRequest) *raftpb.Entry {
	t.Helper()
	r.Header = &etcdserverpb.RequestHeader{ID: index}
	data, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return entryOf(index, data)
}

// puts are entries that write "/after/INDEX", from an index on.
func puts(t *testing.T, from, to uint64) (entries []*raftpb.Entry) {
	for i := from; i <= to; i++ {
		entries = append(entries, request(t, i, &etcdserverpb.InternalRaftRequest{Put: &etcdserverpb.PutRequest{Key: fmt.Appendf(nil, "/after/%d", i), Value: []byte("acknowledged")}}))
	}
	return entries
}

// after are the indices of those that a database has.
func after(t *testing.T, db string) (indices []int) {
	t.Helper()
	opened, err := bolt.Open(db, 0o600, &bolt.Options{ReadOnly: true, Timeout: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	err = opened.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("key")).ForEach(func(_, v []byte) error {
			var kv mvccpb.KeyValue
			if err := proto.Unmarshal(v, &kv); err != nil {
				return err
			}
			if n, found := bytes.CutPrefix(kv.Key, []byte("/after/")); found {
				var i int
				fmt.Sscanf(string(n), "%d", &i)
				indices = append(indices, i)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return indices
}

func upTo(from, to int) (all []int) {
	for i := from; i <= to; i++ {
		all = append(all, i)
	}
	return all
}

func replaying(t *testing.T, d Disk) Replaying {
	t.Helper()
	dir := t.TempDir()
	return Replaying{From: d, Work: filepath.Join(dir, "work"), Out: filepath.Join(dir, "out.db"), Log: t.Output()}
}

// contents are a disk's files by digest.
func contents(t *testing.T, d Disk) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range names(t, d.DataDir, d.WALDir) {
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
			all[path] = digest(t, path) + info.ModTime().String()
		}
	}
	return all
}

// All that is in the log is in the snapshot, whatever the disk knew of it; etcd's own force-new-cluster, on a copy of the
// same disk, gives what was known to be committed and throws the rest away. The other members, which may run, hear nothing.
func TestReplayLosesNothing(t *testing.T) {
	t.Parallel()
	var peers [2]string
	var calls atomic.Int32
	for i := range peers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		peers[i] = l.Addr().String()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				calls.Add(1)
				c.Close()
			}
		}()
	}
	d := aDisk(t, peers, 10, puts(t, 4, 40)...)
	before := contents(t, d)
	r := replaying(t, d)
	out, err := Replay(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if n := calls.Load(); n > 0 {
		t.Errorf("the other members were called %d times", n)
	}
	if got := after(t, r.Out); !slices.Equal(got, upTo(4, 40)) {
		t.Errorf("of 4 to 40: %v", got)
	}
	i, err := datadir.Inspect(d.DataDir, "")
	if err != nil {
		t.Fatal(err)
	}
	if out.LastIndex != 40 || out.LastTerm != 2 || out.Committed != 10 || out.Torn != 0 || out.OldRequests != 0 || out.ClusterID != i.ClusterID || out.MemberID != i.MemberID {
		t.Errorf("%+v", out)
	}
	if out.Content.Revision != 301+37 || out.Content.Applied != 40 || out.Content.Term != 2 || len(out.Content.Members) != 3 || out.SHA256 != digest(t, r.Out) {
		t.Errorf("%+v", out)
	}
	// It is a snapshot like every other.
	if p, err := Prove(t.Context(), Proof{File: Snapshot{Path: r.Out, SHA256: out.SHA256}, Work: r.Work, Hash: &out.Hash, Revision: &out.Content.Revision}); err != nil || !p.Agreed || p.Keys != 49+37 {
		t.Errorf("%+v %v", p, err)
	}
	if d := cmp.Diff(before, contents(t, d)); d != "" {
		t.Errorf("the disk has changed: %s", d)
	}
	if left := names(t, r.Work, r.Out+".part"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}

	// The control.
	forced := filepath.Join(t.TempDir(), "data")
	if err := d.copyTo(t.Context(), forced, nil); err != nil {
		t.Fatal(err)
	}
	c := engineConfig(forced, usual, zap.NewNop())
	c.ForceNewCluster = true
	e, err := startEngine(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.leads(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Stop()
	if got := after(t, datadir.Database(forced)); !slices.Equal(got, upTo(4, 10)) {
		t.Errorf("force-new-cluster kept %v; if it loses nothing any more, this is not needed", got)
	}
	// And a copy of the database alone has nothing of it.
	if got := after(t, datadir.Database(d.DataDir)); got != nil {
		t.Errorf("the database has %v", got)
	}
}

// What else a log can end with.
func TestReplayEnds(t *testing.T) {
	t.Parallel()
	learner := &raftpb.Entry{Term: new(uint64(2)), Index: new(uint64(6)), Type: raftpb.EntryConfChange.Enum()}
	var err error
	learner.Data, err = proto.Marshal(&raftpb.ConfChange{Id: new(uint64(6)), Type: raftpb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(0xd)),
		Context: []byte(`{"id":13,"peerURLs":["http://127.0.0.1:4"],"isLearner":true}`)})
	if err != nil {
		t.Fatal(err)
	}
	// The old API's, by itself as 3.5 writes it, and inside as others did: {2: "PUT", 3: path}, {2: {…}}.
	alone, inside := append([]byte{8, 1, 18, 3}, "PUT\x1a\x04/0/m"...), []byte{8, 1, 18, 2, 8, 1}
	last := func(t *testing.T, d Disk) string {
		all, err := filepath.Glob(filepath.Join(datadir.WALDir(d.DataDir, ""), "*.wal"))
		if err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		return slices.Max(all)
	}
	for name, tc := range map[string]struct {
		entries []*raftpb.Entry
		change  func(t *testing.T, d Disk)
		want    []int
		index   uint64
		old     int
		torn    bool
		members int
	}{
		"nothing after the snapshot": {index: 3, members: 3},
		"an empty entry of a leader": {entries: append(puts(t, 4, 5), entryOf(6, nil)), want: upTo(4, 5), index: 6, members: 3},
		"a change of members":        {entries: append(puts(t, 4, 5), learner), want: upTo(4, 5), index: 6, members: 4},
		"requests of the old API": {entries: slices.Concat(puts(t, 4, 5), []*raftpb.Entry{entryOf(6, alone)}, puts(t, 7, 8), []*raftpb.Entry{entryOf(9, inside)}, puts(t, 10, 11)),
			want: []int{4, 5, 7, 8, 10, 11}, index: 11, old: 2, members: 3},
		"written over by another leader": {entries: slices.Concat(puts(t, 4, 9), puts(t, 6, 7)), want: upTo(4, 7), index: 7, members: 3},
		"a torn last record": {entries: append(puts(t, 4, 5), request(t, 6, &etcdserverpb.InternalRaftRequest{Put: &etcdserverpb.PutRequest{Key: []byte("/after/6"), Value: bytes.Repeat([]byte("MARKER"), 500)}})),
			change: func(t *testing.T, d Disk) {
				spoil(t, last(t, d), func(b []byte) []byte {
					clear(b[bytes.LastIndex(b, []byte("MARKER"))-1500:]) // whole sectors of it were never written
					return b
				})
			}, want: upTo(4, 5), index: 5, torn: true, members: 3},
		"cut off in its last record": {entries: append(puts(t, 4, 5), request(t, 6, &etcdserverpb.InternalRaftRequest{Put: &etcdserverpb.PutRequest{Key: []byte("/after/6"), Value: bytes.Repeat([]byte("MARKER"), 500)}})),
			change: func(t *testing.T, d Disk) {
				spoil(t, last(t, d), func(b []byte) []byte { return b[:bytes.LastIndex(b, []byte("MARKER"))] })
			}, want: upTo(4, 5), index: 5, torn: true, members: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := aDisk(t, deadPeers, 4, tc.entries...)
			if tc.entries == nil {
				d = aDisk(t, deadPeers, 3)
			}
			if tc.change != nil {
				tc.change(t, d)
			}
			before := contents(t, d)
			r := replaying(t, d)
			out, err := Replay(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if got := after(t, r.Out); !slices.Equal(got, tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
			if out.LastIndex != tc.index || out.Content.Applied != tc.index || out.OldRequests != tc.old || (out.Torn > 500) != tc.torn || (out.Torn > 0) != tc.torn || len(out.Content.Members) != tc.members {
				t.Errorf("%+v", out)
			}
			if d := cmp.Diff(before, contents(t, d)); d != "" {
				t.Errorf("the disk has changed: %s", d)
			}
		})
	}
}

// What is refused leaves the disk as it was, and nothing behind.
func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(t *testing.T, r *Replaying)
		want   string
	}{
		"it runs": {func(t *testing.T, r *Replaying) {
			db, err := bolt.Open(datadir.Database(r.From.DataDir), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
		}, "stop the member first"},
		"nobody's":                {func(t *testing.T, r *Replaying) { r.From.DataDir = t.TempDir() }, "holds no member"},
		"a log that is not there": {func(t *testing.T, r *Replaying) { r.From.WALDir = t.TempDir() }, "there is no WAL in"},
		"a file in its place":     {func(t *testing.T, r *Replaying) { write(t, r.Out, []byte("x")) }, "is there already"},
		"no file":                 {func(_ *testing.T, r *Replaying) { r.Out = "" }, "a file to write"},
		"somebody's folder": {func(t *testing.T, r *Replaying) {
			r.Work = r.From.DataDir
		}, "is not empty (member is there)"},
		"its end is lost": {func(t *testing.T, r *Replaying) {
			w := openWAL(t, r.From.DataDir)
			w.Save(&raftpb.HardState{Term: new(uint64(2)), Commit: new(uint64(50))}, nil)
			w.Close()
		}, "ends at index 9 and knows of index 50 as committed"},
		"another database": {func(t *testing.T, r *Replaying) {
			stored(t, datadir.Database(r.From.DataDir), "meta", "consistent_index", "\x00\x00\x00\x00\x00\x00\x00\x63")
		}, "applied up to index 99, and its log ends at 9"},
		"bytes of its log have changed": {func(t *testing.T, r *Replaying) {
			spoil(t, filepath.Join(datadir.WALDir(r.From.DataDir, ""), "0000000000000000-0000000000000000.wal"), func(b []byte) []byte {
				b[bytes.Index(b, []byte("/after/5"))] ^= 1
				return b
			})
		}, "its log cannot be read to its end"},
		"what is no request": {func(t *testing.T, r *Replaying) {
			w := openWAL(t, r.From.DataDir)
			w.Save(&raftpb.HardState{Term: new(uint64(2)), Commit: new(uint64(5))}, []*raftpb.Entry{entryOf(10, []byte{0x0f, 0xff})})
			w.Close()
		}, "holds what is no request, at index 10"},
		"a damaged database": {func(t *testing.T, r *Replaying) {
			spoil(t, datadir.Database(r.From.DataDir), func(b []byte) []byte { return b[:2*os.Getpagesize()] })
		}, "it is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := replaying(t, aDisk(t, deadPeers, 5, puts(t, 4, 9)...))
			tc.change(t, &r)
			before, left := contents(t, r.From), names(t, filepath.Dir(r.Out))
			out, err := Replay(t.Context(), r)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "cannot replay ") || out.LastIndex != 0 {
				t.Errorf("%+v %v, want %q", out, err, tc.want)
			}
			if d := cmp.Diff(before, contents(t, r.From)); d != "" {
				t.Errorf("the disk has changed: %s", d)
			}
			if d := cmp.Diff(left, names(t, filepath.Dir(r.Out))); d != "" {
				t.Errorf("it has left something, or taken it: %s", d)
			}
		})
	}
}

func TestReplayKilled(t *testing.T) {
	t.Parallel()
	r := replaying(t, aDisk(t, deadPeers, 5, puts(t, 4, 400)...))
	before := contents(t, r.From)
	text, err := json.Marshal(map[string]any{"From": r.From, "Work": r.Work, "Out": r.Out})
	if err != nil {
		t.Fatal(err)
	}
	killed := killedAtEach(t, "replay", string(text), func() int {
		if there, _ := exists(r.Out); there {
			return 0 // it is done, and is let come to its end
		}
		return len(names(t, r.Work, r.Out+".part"))
	})
	if killed < 2 {
		t.Errorf("killed %d times only: this shows little", killed)
	}
	if d := cmp.Diff(before, contents(t, r.From)); d != "" {
		t.Errorf("the disk has changed: %s", d)
	}
	if got := after(t, r.Out); !slices.Equal(got, upTo(4, 400)) {
		t.Errorf("%d of 397", len(got))
	}
	if left := names(t, filepath.Dir(r.Out)); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}

func TestReplayEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := replaying(t, aDisk(t, deadPeers, 5, puts(t, 4, 9)...))
	for _, part := range []string{CopyPart, WritePart} {
		ctx, cancel := context.WithCancel(t.Context())
		r.Progress = progressUntil(part, cancel)
		if _, err := Replay(ctx, r); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
			t.Errorf("in %s: %v", part, err)
		}
		if left := names(t, r.Work, r.Out, r.Out+".part"); len(left) > 0 {
			t.Errorf("in %s it left %v", part, left)
		}
	}
}

// FuzzOldRequest: whatever an entry holds is of the old API, is not, or is an error; what etcd's own code takes for a
// request of today's is never passed over.
func FuzzOldRequest(f *testing.F) {
	for _, r := range []*etcdserverpb.InternalRaftRequest{
		{ID: 7, Put: &etcdserverpb.PutRequest{Key: []byte("k"), Value: []byte("v")}},
		{Header: &etcdserverpb.RequestHeader{ID: 9}, LeaseGrant: &etcdserverpb.LeaseGrantRequest{TTL: 5}},
	} {
		data, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(append([]byte{8, 1, 18, 3}, "PUT\x1a\x04/0/m"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		old, err := oldRequest(entryOf(1, data))
		var r etcdserverpb.InternalRaftRequest
		if proto.Unmarshal(data, &r) != nil {
			return
		}
		if err != nil {
			t.Errorf("etcd reads %x, and this does not: %v", data, err)
		}
		if old && len(r.ProtoReflect().GetUnknown()) == 0 {
			t.Errorf("%x has nothing of the old API, and is passed over", data)
		}
	})
}
