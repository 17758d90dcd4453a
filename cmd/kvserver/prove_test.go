package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	etcd "go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"quorate/kvserver"
	"quorate/kvserver/servertest"
)

// What a living member says of itself holds for its snapshot, whatever release took it; one more write, and it does not.
func TestProveAgreesWithTheMember(t *testing.T) {
	t.Parallel()
	for minor, r := range releases(t) {
		t.Run("etcd "+minor, func(t *testing.T) {
			t.Parallel()
			c := clusterOf(t, r, 1, nil)
			c.Start()
			cl := client(t, c, c.Members...)
			writes(t, cl)
			file := save(t, cl)
			ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
			defer cancel()
			h, err := cl.HashKV(ctx, cl.Endpoints()[0], 0)
			if err != nil {
				t.Fatal(err)
			}
			work := filepath.Join(t.TempDir(), "work")
			expect := func(hash uint32, revision int64) []string {
				return []string{"prove", "--snapshot", file, "--work", work, "--hash", fmt.Sprint(hash), "--revision", fmt.Sprint(revision), "--compact-revision", fmt.Sprint(h.CompactRevision)}
			}
			out, err := run(t, expect(h.Hash, h.Header.Revision)...)
			if err != nil {
				t.Fatalf("%v %s", err, out)
			}
			p := reported(t, out).Proved
			if p == nil || !p.Agreed || p.Keys != 19 || p.Hash != h.Hash || p.Content.Writer() != minor {
				t.Errorf("%s", out)
			}
			if _, err := cl.Put(ctx, "one", "more"); err != nil {
				t.Fatal(err)
			}
			if h, err = cl.HashKV(ctx, cl.Endpoints()[0], 0); err != nil {
				t.Fatal(err)
			}
			if out, err := run(t, expect(h.Hash, h.Header.Revision)...); err == nil || !strings.Contains(out, "is not what it should be: the revision is ") {
				t.Errorf("%v %s", err, out)
			}
			if _, err := os.Stat(work); err == nil {
				t.Error("it has left its folder")
			}
		})
	}
}

// What is said to be needed of memory is at least what a million small keys take.
func TestProveMemory(t *testing.T) {
	if os.Getenv("QUORATE_SOAK") == "" {
		t.Skip("only in a soak: QUORATE_SOAK is not set")
	}
	const versions = 1_000_000
	c := clusterOf(t, release{version: etcd.Version}, 1, nil)
	c.Start()
	cl := client(t, c, c.Members...)
	small := proved(t, save(t, cl))
	put(t, cl, versions)
	large := proved(t, save(t, cl))
	t.Logf("%d MiB with nothing, %d MiB with %d keys in a file of %d MiB: %d bytes a key", small.PeakMemory>>20, large.PeakMemory>>20, versions, large.Content.Size>>20, (large.PeakMemory-small.PeakMemory)/versions)
	if large.PeakMemory-large.Content.Size > 96<<20+400*versions { // restore.perProcess, restore.perVersion
		t.Errorf("%+v", large)
	}
}

func proved(t *testing.T, file string) kvserver.Proved {
	t.Helper()
	out, err := run(t, "prove", "--snapshot", file, "--work", filepath.Join(t.TempDir(), "work"))
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return *reported(t, out).Proved
}

// put writes that many keys of 30 bytes, a hundred in a transaction.
func put(t *testing.T, cl *clientv3.Client, keys int) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(32)
	for at := 0; at < keys; at += 100 {
		group.Go(func() error {
			var ops []clientv3.Op
			for i := range 100 {
				ops = append(ops, clientv3.OpPut(fmt.Sprintf("/registry/keys/%015d", at+i), "value"))
			}
			_, err := cl.Txn(t.Context()).Then(ops...).Commit()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}
