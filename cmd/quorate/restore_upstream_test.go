package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"quorate/kvserver/servertest"
)

// upstream is a server block for a release of etcd itself.
func upstream(t *testing.T, path, version string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("server {\n etcd {\n version = %q\n source %q {\n url = %q\n sha256 = \"%x\"\n }\n }\n}\n", version, runtime.GOARCH, path, sha256.Sum256(b))
}

// Where etcd's own release serves, a backup is taken, and restored for that release; what it has saved goes to kvserver too. What a
// newer one has saved is held, and nobody is stopped for it.
func TestRestoreWhereUpstreamServes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ours := newClusterHere(t, "ours", 1, "")
	ours.run(exitDone, "apply", "-y")
	ours.put("/name", "newer")
	newer := ours.snapshot()
	for _, minor := range []string{"3.5", "3.6"} {
		t.Run(minor, func(t *testing.T) {
			path, version, missing := servertest.Upstream(t, minor, dir)
			if missing != "" {
				t.Skip(missing)
			}
			c := newClusterHere(t, "theirs", 1, upstream(t, path, version))
			c.run(exitDone, "apply", "-y")
			c.put("/name", "before")
			c.run(exitDone, "backup", "--fetch=yes")
			file := c.snapshot()
			c.put("/name", "after")
			was := c.raft()
			c.run(exitHeld, "restore", "-y", c.write("newer.db", newer))
			if now := c.raft(); now != was {
				t.Errorf("held, and it was %s and is %s", was, now)
			}
			c.run(exitDone, "restore", "latest", "-y")
			if got := c.value("/name"); got != "before" {
				t.Errorf("/name is %q", got)
			}
			c.settled()
			c.put("/name", "on")
			for _, pid := range processes(t, c.dir)[1:] {
				if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || filepath.Base(exe) != "etcd" {
					t.Errorf("%s serves, %v", exe, err)
				}
			}
			c.run(exitDone, "destroy", "-y")

			ours.run(exitDone, "restore", "-y", ours.write("upstream.db", file))
			if got := ours.value("/name"); got != "before" {
				t.Errorf("in kvserver /name is %q", got)
			}
		})
	}
	t.Run("3.4", func(t *testing.T) {
		ours.run(exitDone, "restore", "-y", ours.write("old.db", savedBy(t, "3.4")))
		if got := ours.value("/name"); got != "by 3.4" {
			t.Errorf("in kvserver /name is %q", got)
		}
	})
	ours.settled()
	ours.run(exitDone, "destroy", "-y")
}

// savedBy is what a release of etcd saves that nobody serves with here.
func savedBy(t *testing.T, minor string) []byte {
	t.Helper()
	path, version, missing := servertest.Upstream(t, minor, t.TempDir())
	if missing != "" {
		t.Skip(missing)
	}
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[0]+peerOffset)
	etcd := exec.Command(path, "--name", "old", "--data-dir", t.TempDir(), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "old="+peer)
	if err := etcd.Start(); err != nil {
		t.Fatalf("etcd %s: %v", version, err)
	}
	t.Cleanup(func() {
		_ = etcd.Process.Kill() // it has nothing that is wanted
		_ = etcd.Wait()
	})
	cl, err := clientv3.New(clientv3.Config{Endpoints: []string{client}, DialTimeout: servertest.Wait, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	defer cancel()
	if _, err := cl.Put(ctx, "/name", "by "+minor); err != nil {
		t.Fatal(err)
	}
	r, err := cl.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
