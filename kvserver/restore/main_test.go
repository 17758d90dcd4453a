package restore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/zap"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"quorate/kvserver"
)

// child names what this binary does in place of its tests, with options as JSON in the argument behind it: a process that can be killed.
const child = "QUORATE_RESTORE_CHILD"

func TestMain(m *testing.M) {
	what := os.Getenv(child)
	if what == "" {
		os.Exit(m.Run())
	}
	if err := children[what](os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var children = map[string]func(options string) error{
	"restore": func(options string) error {
		o := Options{UID: -1, GID: -1}
		if err := json.Unmarshal([]byte(options), &o); err != nil {
			return err
		}
		_, err := Restore(context.Background(), o)
		return err
	},
	"replay": func(options string) error {
		var r Replaying
		if err := json.Unmarshal([]byte(options), &r); err != nil {
			return err
		}
		_, err := Replay(context.Background(), r)
		return err
	},
	"prove": func(options string) error {
		var p Proof
		if err := json.Unmarshal([]byte(options), &p); err != nil {
			return err
		}
		_, err := Prove(context.Background(), p)
		return err
	},
}

// database makes one by etcd's own packages: 300 revisions, compacted at 250, the last one a deletion, and NOSPACE.
func database(t testing.TB, path string) {
	t.Helper()
	quietDatabase(t, path)
	be := backend.NewDefaultBackend(zap.NewNop(), path, backend.WithMmapSize(1<<24))
	schema.NewAlarmBackend(zap.NewNop(), be).MustPutAlarm(&etcdserverpb.AlarmMember{MemberID: 7, Alarm: etcdserverpb.AlarmType_NOSPACE})
	be.ForceCommit()
	be.Close()
}

// quietDatabase is [database] without an alarm.
func quietDatabase(t testing.TB, path string) {
	t.Helper()
	be := backend.NewDefaultBackend(zap.NewNop(), path, backend.WithMmapSize(1<<24))
	store := mvcc.NewStore(zap.NewNop(), be, &lease.FakeLessor{}, mvcc.StoreConfig{})
	for i := range 299 {
		store.Put(fmt.Appendf(nil, "key%d", i%50), []byte(strings.Repeat("v", 10*i)), lease.NoLease)
	}
	store.DeleteRange([]byte("key7"), nil)
	done, err := store.Compact(traceutil.TODO(), 250)
	if err != nil {
		t.Fatal(err)
	}
	<-done
	store.Commit()
	store.Close()
	schema.NewMembershipBackend(zap.NewNop(), be).MustCreateBackendBuckets()
	schema.NewAlarmBackend(zap.NewNop(), be).CreateAlarmBucket()
	be.ForceCommit()
	be.Close()
}

// snapshotOf puts a database's pages and their checksum into a file, as etcd sends them.
func snapshotOf(t testing.TB, db string) string {
	t.Helper()
	text, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	path := db + ".snapshot"
	write(t, path, append(text, sum[:]...))
	return path
}

func aSnapshot(t testing.TB) string {
	t.Helper()
	db := filepath.Join(t.TempDir(), "db")
	database(t, db)
	return snapshotOf(t, db)
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func digest(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// spoil changes a file's bytes.
func spoil(t testing.TB, path string, change func(b []byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, change(text))
}

// stored puts one value into a database.
func stored(t testing.TB, path, bucket, key, value string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucket)).Put([]byte(key), []byte(value)) }); err != nil {
		t.Fatal(err)
	}
}

// killedAtEach runs one of children again and again, and kills it once it has put as many paths on the disk as paths
// counts: none, one, two, …, until one comes to its end. It gives how many were killed.
func killedAtEach(t *testing.T, what, options string, paths func() int) (killed int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		c := exec.Command(exe, options)
		c.Env = append(os.Environ(), child+"="+what)
		var said bytes.Buffer
		c.Stderr = &said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		err, over := error(nil), false
		for !over {
			select {
			case err = <-ended:
				over = true
				continue
			default:
			}
			if paths() >= n {
				c.Process.Kill()
				err = <-ended
				over = true
			}
		}
		if err == nil {
			t.Logf("%s was killed %d times", what, killed)
			return killed
		}
		if c.ProcessState.Exited() {
			t.Fatalf("%s, after it was killed %d times: %v\n%s", what, killed, err, said.String())
		}
		killed++
	}
}

// progressUntil gives up once a part of the work has begun.
func progressUntil(part string, cancel func()) func(kvserver.RestoreProgress) {
	return func(p kvserver.RestoreProgress) {
		if p.Part == part {
			cancel()
		}
	}
}
