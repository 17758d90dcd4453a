package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"quorate/kvserver/servertest"
)

// A snapshot does not care how many members it was taken of, or how many get it: the file of one goes to one, three and five that are new, and
// that of three to one. A cluster beside it is none of its business.
func TestRestoreBetweenSizes(t *testing.T) {
	t.Parallel()
	beside := newClusterHere(t, "beside", 1, "")
	beside.run(exitDone, "apply", "-y")
	still := processes(t, beside.dir)
	clusters := map[int]*clusterHere{}
	for _, n := range []int{1, 3, 5} {
		clusters[n] = newClusterHere(t, fmt.Sprintf("c%d", n), n, "")
		clusters[n].run(exitDone, "apply", "-y")
	}
	for i, step := range []struct{ from, to int }{{1, 1}, {1, 3}, {3, 1}, {3, 5}} {
		from, to := clusters[step.from], clusters[step.to]
		value := fmt.Sprintf("%d from %d to %d", i, step.from, step.to)
		from.put("/name", value)
		file := to.write("their.db", from.snapshot())
		from.put("/name", "later")
		was := to.raft()
		to.run(exitDone, "restore", file, "-y")
		if got := to.value("/name"); got != value {
			t.Errorf("%s: /name is %q", value, got)
		}
		if now := to.raft(); now == was {
			t.Errorf("%s: it is the old cluster still:\n%s", value, now)
		}
		to.settled()
		if list := strings.Fields(to.run(exitDone, "ctl", "--", "member", "list", "-w", "simple")); strings.Count(strings.Join(list, " "), "started") != step.to {
			t.Errorf("%s: its members are %q", value, list)
		}
	}
	if now := processes(t, beside.dir); !slices.Equal(now, still) {
		t.Errorf("the processes of the cluster beside were %v and are %v", still, now)
	}
	for _, n := range []int{1, 3, 5} {
		clusters[n].run(exitDone, "destroy", "-y")
	}
	beside.run(exitDone, "destroy", "-y")
}

// A client that watches across a restore, connected or having lost its connection, sees revisions that grow, or is told "compacted"; never
// the past as something new. One that then begins anew sees all that comes.
func TestWatchersAcrossARestore(t *testing.T) {
	t.Parallel()
	trio := newClusterHere(t, "trio", 3, "")
	trio.run(exitDone, "apply", "-y")
	cl := trio.client()
	put := func(value string) int64 {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
		defer cancel()
		for { // its connections come back one after another
			r, err := cl.Put(ctx, "/name", value)
			if err == nil {
				return r.Header.Revision
			}
			if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	first := put("v1")
	put("v2")
	file := trio.write("old.db", trio.snapshot())
	put("v3")
	last := put("v4")

	ctx, cancel := context.WithTimeout(t.Context(), 4*servertest.Wait) // ends a watch that is told nothing
	defer cancel()
	watches := map[string]clientv3.WatchChan{
		"from now on": cl.Watch(ctx, "/name"), "with history": cl.Watch(ctx, "/name", clientv3.WithRev(first)), "and its leader": cl.Watch(clientv3.WithRequireLeader(ctx), "/name"),
	}
	seen := map[string]*seenBy{}
	for name, w := range watches {
		seen[name] = &seenBy{ended: make(chan struct{})}
		go seen[name].all(w)
	}
	if now := put("v5"); now != last+1 {
		t.Fatalf("revision %d", now)
	}
	trio.run(exitDone, "restore", file, "-y")
	begins := put("v6")
	if begins <= last+1_000_000_000 {
		t.Errorf("it goes on at revision %d after %d", begins, last+1)
	}
	for name, s := range seen {
		<-s.ended
		switch {
		case !s.compacted && name != "and its leader" || s.compacted && s.floor != begins-1:
			t.Errorf("%s: ended by %v, compacted up to %d, and it should be told that revisions up to %d are", name, s.err, s.floor, begins-1)
		case len(s.revisions) == 0 && name != "and its leader" || !slices.IsSorted(s.revisions) || len(slices.Compact(slices.Clone(s.revisions))) != len(s.revisions):
			t.Errorf("%s: it saw revisions %v", name, s.revisions)
		case slices.ContainsFunc(s.revisions, func(r int64) bool { return r > last+1 && r < begins }):
			t.Errorf("%s: it saw the past as something new: %v", name, s.revisions)
		}
	}
	// Whoever begins again where it was is told the same; who begins where the compaction ends sees everything from there on.
	for _, rev := range []int64{first, last + 2, begins - 2} {
		if w := <-cl.Watch(ctx, "/name", clientv3.WithRev(rev)); !errors.Is(w.Err(), rpctypes.ErrCompacted) || w.CompactRevision != begins-1 {
			t.Errorf("from revision %d: %v, compacted up to %d", rev, w.Err(), w.CompactRevision)
		}
	}
	w := <-cl.Watch(ctx, "/name", clientv3.WithRev(begins))
	if w.Err() != nil || len(w.Events) != 1 || string(w.Events[0].Kv.Value) != "v6" {
		t.Errorf("from where it goes on: %v, %v", w.Events, w.Err())
	}
	if got, err := cl.Get(ctx, "/name"); err != nil || got.Kvs[0].ModRevision != begins {
		t.Errorf("%v %v", got, err)
	}
	cancel()
	trio.run(exitDone, "destroy", "-y")
}

// seenBy is what a watcher has seen; to be read once it has ended.
type seenBy struct {
	ended     chan struct{}
	revisions []int64
	compacted bool
	floor     int64
	err       error
}

func (s *seenBy) all(w clientv3.WatchChan) {
	defer close(s.ended)
	for r := range w {
		for _, e := range r.Events {
			s.revisions = append(s.revisions, e.Kv.ModRevision)
		}
		if s.err = r.Err(); s.err != nil {
			s.compacted, s.floor = errors.Is(s.err, rpctypes.ErrCompacted), r.CompactRevision
		}
	}
}
