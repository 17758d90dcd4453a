package datadir

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"go.uber.org/zap"

	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/lease/leasepb"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"quorate/kvserver"
)

// etcdDatabase makes a database by etcd's own packages and gives what the backend says of its pages.
func etcdDatabase(t *testing.T, path string, change func(be backend.Backend)) (size, inUse int64) {
	t.Helper()
	open := func() backend.Backend {
		return backend.NewDefaultBackend(zap.NewNop(), path, backend.WithMmapSize(1<<24))
	}
	be := open()
	store := mvcc.NewStore(zap.NewNop(), be, &lease.FakeLessor{}, mvcc.StoreConfig{})
	for i := range 300 {
		store.Put([]byte("key"+strings.Repeat("x", i%7)), bytes.Repeat([]byte("v"), 10*i), lease.NoLease)
	}
	store.DeleteRange([]byte("keyxxx"), nil)
	done, err := store.Compact(traceutil.TODO(), 250)
	if err != nil {
		t.Fatal(err)
	}
	<-done
	store.Commit()
	store.Close()
	if change != nil {
		change(be)
	}
	be.ForceCommit()
	be.Close()
	be = open() // what is free is counted when it is opened
	defer be.Close()
	return be.Size(), be.SizeInUse()
}

// What etcd's own packages have written is read, with a checksum behind it and without, and the file is left as it was.
func TestContent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	size, inUse := etcdDatabase(t, path, func(be backend.Backend) {
		m := schema.NewMembershipBackend(zap.NewNop(), be)
		m.MustCreateBackendBuckets()
		m.MustSaveMemberToBackend(&membership.Member{ID: 0xb, RaftAttributes: membership.RaftAttributes{PeerURLs: []string{"https://b:2380"}, IsLearner: true}})
		m.MustSaveMemberToBackend(&membership.Member{ID: 0xa, Attributes: membership.Attributes{Name: "a", ClientURLs: []string{"https://a:2379"}}, RaftAttributes: membership.RaftAttributes{PeerURLs: []string{"https://a:2380"}}})
		m.MustDeleteMemberFromBackend(0xc)
		alarms := schema.NewAlarmBackend(zap.NewNop(), be)
		alarms.CreateAlarmBucket()
		alarms.MustPutAlarm(&etcdserverpb.AlarmMember{MemberID: 0xb, Alarm: etcdserverpb.AlarmType_CORRUPT})
		alarms.MustPutAlarm(&etcdserverpb.AlarmMember{MemberID: 0xa, Alarm: etcdserverpb.AlarmType_NOSPACE})
		auth := schema.NewAuthBackend(zap.NewNop(), be)
		auth.CreateAuthBuckets()
		a := auth.BatchTx()
		a.Lock()
		a.UnsafePutUser(&authpb.User{Name: []byte("root"), Password: []byte("secret")})
		a.UnsafePutUser(&authpb.User{Name: []byte("quorate")})
		a.UnsafeSaveAuthEnabled(true)
		a.Unlock()
		tx := be.BatchTx()
		tx.LockOutsideApply()
		defer tx.Unlock()
		schema.UnsafeCreateLeaseBucket(tx)
		for id := range int64(3) {
			schema.MustUnsafePutLease(tx, &leasepb.Lease{ID: id + 7, TTL: 100})
		}
		schema.UnsafeUpdateConsistentIndex(tx, 4711, 9)
		tx.UnsafePut(schema.Cluster, schema.ClusterClusterVersionKeyName, []byte("3.7.0"))
		tx.UnsafePut(schema.Meta, schema.MetaStorageVersionName, []byte("3.7.0"))
	})
	want := kvserver.SnapshotContent{
		Revision: 302, Stored: 302, CompactRevision: 250, Versions: 59, Applied: 4711, Term: 9,
		ClusterVersion: "3.7.0", StorageVersion: "3.7.0",
		Members: []kvserver.InspectedMember{{ID: "a", Name: "a", PeerURLs: []string{"https://a:2380"}, ClientURLs: []string{"https://a:2379"}}, {ID: "b", PeerURLs: []string{"https://b:2380"}, Learner: true}},
		Removed: []string{"c"},
		Alarms:  []kvserver.SnapshotAlarm{{Member: "a", Alarm: "NOSPACE"}, {Member: "b", Alarm: "CORRUPT"}}, AuthEnabled: true, Users: []string{"quorate", "root"}, Leases: 3,
		Size: size, SizeInUse: inUse,
	}
	check := func(path string) {
		t.Helper()
		before := read256(t, path)
		got, err := Content(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		if read256(t, path) != before {
			t.Error("reading has changed it")
		}
		if text, err := json.Marshal(got); err != nil || bytes.Contains(text, []byte("secret")) {
			t.Errorf("%s %v", text, err)
		}
	}
	check(path)
	snapshot := path + ".snapshot"
	sum := read256(t, path)
	text, _ := os.ReadFile(path)
	write(t, snapshot, string(text)+string(sum[:]))
	if err := os.Chmod(snapshot, 0o400); err != nil {
		t.Fatal(err)
	}
	check(snapshot)
	if inUse == want.Size {
		t.Error("nothing is free: this does not show that what is free is not counted")
	}
}

func read256(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(text)
}

func TestContentOfWhatIsNone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"nothing":       {func(*testing.T, string) {}, "there is none"},
		"an empty file": {func(t *testing.T, path string) { write(t, path, "") }, "it is empty"},
		"another file":  {func(t *testing.T, path string) { write(t, path, strings.Repeat("x", 9000)) }, "invalid database"},
		"not of etcd's": {func(t *testing.T, path string) { database(t, path, nil) }, `no bucket "key"`},
		"cut in its tree": {func(t *testing.T, path string) {
			etcdDatabase(t, path, nil)
			os.Truncate(path, 3*int64(os.Getpagesize()))
		}, "it is damaged"},
		"in use": {func(t *testing.T, path string) {
			etcdDatabase(t, path, nil)
			db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
		}, "in use by another process"},
		"a member list that is none": {func(t *testing.T, path string) {
			etcdDatabase(t, path, nil)
			put(t, path, "members", "a", "{")
		}, "member list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "db")
			tc.make(t, path)
			c, err := Content(path)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) || c.Revision != 0 {
				t.Errorf("%v, want %q (%+v)", err, tc.want, c)
			}
		})
	}
}

func put(t testing.TB, path, bucket, key, value string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(bucket))
		if err != nil || key == "" {
			return err
		}
		return b.Put([]byte(key), []byte(value))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzContent: whatever stands in the buckets is read, or refused with an error.
func FuzzContent(f *testing.F) {
	f.Add("meta", "consistent_index", "12345678")
	f.Add("meta", "finishedCompactRev", "\x00\x00\x00\x00\x00\x00\x00\x07_\x00\x00\x00\x00\x00\x00\x00\x00")
	f.Add("meta", "storageVersion", "3.6.0")
	f.Add("key", "\x00\x00\x00\x00\x00\x00\x00\x07_", "v")
	f.Add("alarm", "\b\x0b\x10\x01", "")
	f.Add("auth", "authEnabled", "\x01")
	f.Add("authUsers", "root", "")
	f.Add("members", "8e9e05c52164694d", `{"id":10276657743932975437,"name":"a"}`)
	f.Add("members_removed", "zz", "removed")
	f.Add("lease", "12345678", "")
	path := filepath.Join(f.TempDir(), "db")
	f.Fuzz(func(t *testing.T, bucket, key, value string) {
		if bucket == "" || key == "" || len(key) > bolt.MaxKeySize {
			return
		}
		os.Remove(path)
		put(t, path, "key", "", "")
		put(t, path, "meta", "", "")
		put(t, path, bucket, key, value)
		c, err := Content(path)
		if err != nil {
			return
		}
		if c.Writer() == "" || c.SizeInUse <= 0 || c.SizeInUse > c.Size || c.CompactRevision > c.Revision {
			t.Errorf("%+v", c)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Error(err)
		}
	})
}
