package provision_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// kept is a rig with something written, a snapshot of an earlier time, and the log on a file system of its own.
func kept(t *testing.T) *rig {
	t.Helper()
	return keptAs(t, strings.Replace(threeMembers, "client", "server {\n    wal_dir = \"/ssd/lab\"\n  }\n  client", 1))
}

// keptAs is one of another spec.
func keptAs(t *testing.T, hcl string) *rig {
	t.Helper()
	r := newRig(t, hcl)
	must(t, r.apply())
	r.etcd.mu.Lock()
	r.etcd.restores, r.etcd.revision = restores{}, 40
	r.etcd.mu.Unlock()
	r.snapshot = host.BytesBlob([]byte("a snapshot"))
	return r
}

// restoreBuild is a restore as the verb asks for it, or what is left of one.
func (r *rig) restoreBuild(c *spec.Cluster, o *plan.Observed, opt plan.Options) (*plan.Plan, error) {
	if plan.UnfinishedRestore(o) != nil {
		return plan.BuildResume(c, o, opt)
	}
	mark := kvserver.RestoreMark{Format: kvserver.RestoreMarkFormat, Run: fmt.Sprintf("run-%d", r.runs), At: now.Add(time.Duration(r.runs) * time.Second), By: "ana@desk",
		Token: opt.Token, InitialCluster: plan.InitialCluster(c), Members: map[string]string{},
		Snapshot: kvserver.RestoreSource{Name: "snapshot.db", SHA256: r.snapshot.Digest(), Size: r.snapshot.Size()}}
	cluster, ids := identities(mark.InitialCluster, mark.Token)
	mark.ClusterID = kvserver.ID(cluster)
	for name, id := range ids {
		mark.Members[name] = kvserver.ID(id)
	}
	content := kvserver.SnapshotContent{Revision: 30, Stored: 30, Size: 1 << 20, SizeInUse: 1 << 20, ClusterVersion: "3.7.0", StorageVersion: "3.7.0"}
	if mark.Snapshot.SHA256 == fullSnapshot.Digest() {
		content.Alarms = []kvserver.SnapshotAlarm{{Member: "1", Alarm: kvserver.AlarmNoSpace}}
	}
	return plan.BuildRestore(c, o, opt, plan.RestoreInput{Mark: mark, Bump: true, Content: content})
}

// fullSnapshot was taken while NOSPACE stood.
var fullSnapshot = host.BytesBlob([]byte("a snapshot, " + kvserver.AlarmNoSpace))

// unfinished reports whether a host has a mark.
func (r *rig) unfinished() bool {
	for _, m := range r.world.Machines() {
		if len(m.Paths("/etc/quorate/lab")) > 0 {
			if _, err := m.ReadFile("/etc/quorate/lab/restore.json"); err == nil {
				return true
			}
		}
	}
	return false
}

// isRestored sees that the members are of the restored cluster, that the old data is kept, and nothing is left of the way there.
func (r *rig) isRestored(t *testing.T, old uint64) {
	t.Helper()
	if r.etcd.cluster == old || r.etcd.revision != 40+plan.RevisionBump || r.etcd.compacted != r.etcd.revision {
		t.Errorf("cluster %x at revision %d, compacted up to %d", r.etcd.cluster, r.etcd.revision, r.etcd.compacted)
	}
	if len(r.etcd.inherited) > 0 {
		t.Errorf("of the old cluster stands %v", r.etcd.inherited)
	}
	r.tidied(t, "/.aside/before-restore-")
}

// isOld sees that the members are of the old cluster again.
func (r *rig) isOld(t *testing.T, old uint64) {
	t.Helper()
	if r.etcd.cluster != old || r.etcd.revision != 40 {
		t.Errorf("cluster %x at revision %d", r.etcd.cluster, r.etcd.revision)
	}
	r.tidied(t, "")
}

func (r *rig) tidied(t *testing.T, aside string) {
	t.Helper()
	r.settled(t)
	for _, m := range r.world.Machines() {
		if r.etcd.peers[m.Name()] == nil {
			continue
		}
		all := slices.Concat(m.Paths("/var/lib/quorate/lab"), m.Paths("/ssd/lab"), m.Paths("/var/backups"))
		for _, p := range all {
			if strings.Contains(p, "/.restore-") || aside == "" && strings.Contains(p, "/.aside/before-restore-") {
				t.Errorf("%s is left on %s", p, m.Name())
			}
		}
		for _, kept := range []string{"/var/lib/quorate/lab" + aside, "/ssd/lab" + aside} {
			if aside != "" && !slices.ContainsFunc(all, func(p string) bool { return strings.HasPrefix(p, kept) }) {
				t.Errorf("nothing is kept as %s… on %s", kept, m.Name())
			}
		}
	}
}

// TestRestoreEndToEnd: data is exchanged while nobody runs, and nobody is stopped before the new data is there on all hosts.
func TestRestoreEndToEnd(t *testing.T) {
	t.Parallel()
	r := kept(t)
	old := r.etcd.cluster
	staged := 0
	r.world.Intercept(func(c hosttest.Call) error {
		switch {
		case c.Method == "Run" && strings.Contains(c.Detail, "restore"):
			staged++
		case c.Method == "Service" && staged < 3 && strings.Contains(c.Detail, "stop"):
			t.Errorf("%s with %d of 3 staged", c, staged)
		}
		return nil
	})
	p, _, err := r.run(t.Context(), r.restoreBuild, nil)
	must(t, err)
	if len(p.Interrupts()) != 1 || p.Before != p.After {
		t.Errorf("%d steps interrupt, voters %v -> %v", len(p.Interrupts()), p.Before, p.After)
	}
	r.isRestored(t, old)
}

// TestRestoreEndsNoSpace: what is restored from a snapshot of a full cluster takes writes when the restore is done, also one that was cut in
// between; the cluster that stood there before is none of it.
func TestRestoreEndsNoSpace(t *testing.T) {
	t.Parallel()
	for _, stop := range []string{"", "disarm"} {
		r := kept(t)
		old := r.etcd.cluster
		r.snapshot = fullSnapshot
		if stop != "" {
			r.stopAt(t, stop)
			if len(r.etcd.inherited) != 1 || !r.unfinished() {
				t.Fatalf("stopped before it, NOSPACE stands for %v", r.etcd.inherited)
			}
		}
		p, _, err := r.run(t.Context(), r.restoreBuild, nil)
		must(t, err)
		if n := slices.IndexFunc(p.Steps, func(s plan.Step) bool { return s.Kind == plan.KindDisarm }); n < 0 || p.Steps[n-1].Kind != plan.KindRevive {
			t.Errorf("%d. of %v ends it", n+1, p.Steps)
		}
		r.isRestored(t, old)
	}
}

// TestRestoreNeedsNoQuorum: two of three have lost everything, and the cluster comes back.
func TestRestoreNeedsNoQuorum(t *testing.T) {
	t.Parallel()
	r := kept(t)
	old := r.etcd.cluster
	for _, name := range []string{"etcd2", "etcd3"} {
		m := r.world.Machine(name)
		m.Crash("quorate-lab.service")
		m.RemoveAll("/var/lib/quorate/lab/member")
		m.RemoveAll("/ssd/lab/wal")
	}
	_, _, err := r.run(t.Context(), r.restoreBuild, nil)
	must(t, err)
	if r.etcd.cluster == old {
		t.Error("it is the old cluster")
	}
	r.settled(t)
}

// TestRestoreCutEverywhere: the tool dies at the first, second, … last call of a restore. Then another operator finishes it, or
// takes it back; no member ever runs in one cluster while another one runs in the other, and nothing else changes it meanwhile.
func TestRestoreCutEverywhere(t *testing.T) {
	t.Parallel()
	for i, mode := range []string{"before", "midway", "reply lost"} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, undone=%t", mode, back), func(t *testing.T) {
				t.Parallel()
				first, stride := cuts(i)
				for n := first; ; n += stride {
					r := kept(t)
					r.snapshot = fullSnapshot
					old := r.etcd.cluster
					if !r.cutAt(t, mode, n, r.restoreBuild) {
						r.isRestored(t, old)
						return // the run needs no more calls than n
					}
					unfinished := r.unfinished()
					if p, err := r.plan(); unfinished && (err != nil || len(p.Held) != 1 || p.Held[0].Reason != plan.RestoreUnfinished) {
						t.Fatalf("%s call %d: an apply is not held: %+v, %v", mode, n, p.Held, err)
					}
					r.goOn(t, old, back && unfinished)
					if t.Failed() {
						t.Fatalf("%s call %d", mode, n)
					}
				}
			})
		}
	}
}

// TestUndoCutEverywhere: so does one who takes a restore back that had come to its end but for the marks.
func TestUndoCutEverywhere(t *testing.T) {
	t.Parallel()
	for i, mode := range []string{"before", "midway", "reply lost"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			first, stride := cuts(i)
			for n := first; ; n += stride {
				r := kept(t)
				old := r.etcd.cluster
				r.stopAt(t, "end the restore")
				if !r.cutAt(t, mode, n, plan.BuildUndo) {
					r.isOld(t, old)
					return
				}
				r.goOn(t, old, true)
				if t.Failed() {
					t.Fatalf("%s call %d", mode, n)
				}
			}
		})
	}
}

// goOn finishes what a cut has left, one way or the other.
func (r *rig) goOn(t *testing.T, old uint64, back bool) {
	t.Helper()
	if !back {
		if r.unfinished() || r.etcd.cluster == old {
			_, _, err := r.run(t.Context(), r.restoreBuild, nil)
			must(t, err)
		}
		r.isRestored(t, old)
		return
	}
	if r.unfinished() {
		_, _, err := r.run(t.Context(), plan.BuildUndo, nil)
		must(t, err)
	}
	r.isOld(t, old)
}

// cutAt runs, and cuts the run at its call n; false: it needs fewer.
func (r *rig) cutAt(t *testing.T, mode string, n int, b builder) bool {
	t.Helper()
	r.world.ResetCalls()
	if mode == "midway" {
		r.world.CutMidwayAfter(n)
	} else {
		r.world.CutAfter(n, mode == "reply lost")
	}
	_, _, err := r.run(t.Context(), b, nil)
	cut := r.world.Cut()
	r.world.Heal()
	if !cut {
		must(t, err)
	}
	return cut
}

// stopAt restores up to the first step whose title begins like that.
func (r *rig) stopAt(t *testing.T, title string) {
	t.Helper()
	s := r.session()
	defer s.Close()
	must(t, s.Lock(t.Context(), plan.Restore, 0))
	p, err := r.build(s, r.restoreBuild)
	must(t, err)
	r.hurry(p)
	p.Steps = slices.DeleteFunc(p.Steps, func(s plan.Step) bool { return strings.HasPrefix(s.Title, title) })
	_, err = s.Apply(t.Context(), context.Background(), p, provision.RunOptions{ID: "run", Snapshot: r.snapshot})
	must(t, err)
}

// Whoever interrupts a restore is told what goes on with it; the verb alone would be held.
func TestAnInterruptedRestoreSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	for verb, want := range map[plan.Verb]string{plan.Apply: "run it again", plan.Restore: "quorate restore --resume"} {
		if got := (&provision.InterruptedError{Left: 2, Verb: verb}).Error(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", verb, got)
		}
	}
}
