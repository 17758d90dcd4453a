package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	etcd "go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"

	"quorate/kvserver"
	"quorate/kvserver/datadir"
	"quorate/kvserver/servertest"
)

// replayed is the snapshot that comes of a member that does not run.
func replayed(t *testing.T, m *servertest.Member) (file string, r kvserver.Replayed) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "replayed.db")
	out, err := run(t, "replay", "--from-data-dir", m.DataDir, "--work", filepath.Join(dir, "work"), "--out", file)
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if got := reported(t, out).Replayed; got != nil {
		return file, *got
	}
	t.Fatal(out)
	return file, r
}

// logged are the keys that a disk's log writes, by the value that was last written.
func logged(t *testing.T, dataDir string) (keys map[string]string, last uint64) {
	t.Helper()
	w, err := wal.OpenForRead(zap.NewNop(), datadir.WALDir(dataDir, ""), &walpb.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_, _, entries, err := w.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	keys = map[string]string{}
	for _, e := range entries {
		var r etcdserverpb.InternalRaftRequest
		if last = e.GetIndex(); e.GetType() == raftpb.EntryNormal && proto.Unmarshal(e.Data, &r) == nil && r.Put != nil {
			keys[string(r.Put.Key)] = string(r.Put.Value)
		}
	}
	return keys, last
}

// The majority dies at once under writers. What had been acknowledged and is on the disk that is left is in what is
// restored from it; so is everything else on that disk.
func TestReplayAfterTheMajorityDied(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 3)
	c.Start()
	a := c.Admin()
	status, err := a.Status(t.Context(), "m1")
	if err != nil {
		t.Fatal(err)
	}
	// The leader and one more die; one that follows is left.
	slices.SortFunc(c.Members, func(x, y *servertest.Member) int {
		lead := func(m *servertest.Member) int {
			s, err := a.Status(t.Context(), m.Name)
			if err != nil {
				t.Fatal(err)
			}
			if s.MemberID == status.Leader {
				return 0
			}
			return 1
		}
		return lead(x) - lead(y)
	})
	left := c.Members[2]
	cl := client(t, c, c.Members...)
	var mu sync.Mutex
	acknowledged := map[string]string{}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key, value := fmt.Sprintf("w%d/%d", w, i), fmt.Sprint("v", i)
				if _, err := cl.Put(ctx, key, value); err == nil {
					mu.Lock()
					acknowledged[key] = value
					mu.Unlock()
				}
			}
		})
	}
	servertest.Until(t, "writes", func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if len(acknowledged) < 2000 {
			return errors.New("too few")
		}
		return nil
	})
	for _, m := range c.Members[:2] {
		go m.Kill()
	}
	left.Kill()
	stop()
	writers.Wait()
	for _, m := range c.Members {
		m.Wait()
	}

	onDisk, last := logged(t, left.DataDir)
	file, r := replayed(t, left)
	if r.LastIndex != last || r.Content.Applied != last || r.Committed > last {
		t.Errorf("%+v, the log ends at %d", r, last)
	}
	n := clusterOf(t, release{version: etcd.Version}, 1, nil)
	restored(t, n, n.Members[0], file, "--target-revision", fmt.Sprint(target))
	n.Start()
	all, err := client(t, n, n.Members...).Get(t.Context(), "w", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, kv := range all.Kvs {
		got[string(kv.Key)] = string(kv.Value)
	}
	both := 0
	for key, value := range acknowledged {
		if onDisk[key] == value {
			both++
		}
	}
	for key, value := range onDisk {
		if got[key] != value {
			t.Errorf("%s is %q, the log has %q", key, got[key], value)
		}
	}
	if both == 0 || len(got) != len(onDisk) { // how far the disk is behind the others is the machine's
		t.Errorf("%d of %d on the disk, %d after", both, len(onDisk), len(got))
	}
	t.Logf("%d writes acknowledged, %d of them on this disk and all of these restored; %d entries behind what it knew to be committed", len(acknowledged), both, r.LastIndex-r.Committed)
}

// Disks of older releases, whose logs hold requests of the old API, are replayed by the etcd of today.
func TestReplayOfEachRelease(t *testing.T) {
	t.Parallel()
	for minor, r := range releases(t) {
		t.Run("etcd "+minor, func(t *testing.T) {
			t.Parallel()
			c := clusterOf(t, r, 1, nil)
			c.Start()
			cl := client(t, c, c.Members...)
			first := writes(t, cl)
			h, err := cl.HashKV(t.Context(), cl.Endpoints()[0], 0)
			if err != nil {
				t.Fatal(err)
			}
			c.Members[0].Kill()
			file, got := replayed(t, c.Members[0])
			if got.Hash != h.Hash || got.Content.Revision != h.Header.Revision || got.Content.Revision != first+50 || got.Content.CompactRevision != h.CompactRevision || got.Content.Leases != 1 {
				t.Errorf("%+v, the member said %+v", got, h)
			}
			if old := minor < "3.6"; (got.OldRequests > 0) != old {
				t.Errorf("%d requests of the old API", got.OldRequests)
			}
			if p := proved(t, file); !p.Agreed || p.Keys != 19 || p.Hash != h.Hash {
				t.Errorf("%+v", p)
			}
		})
	}
}
