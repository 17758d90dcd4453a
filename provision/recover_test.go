package provision_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host/hosttest"
)

// recovers is a recovery as the verb asks for it, from what holds most; or what is left of one.
func (r *rig) recovers(s *provision.Session) builder {
	return func(c *spec.Cluster, o *plan.Observed, opt plan.Options) (*plan.Plan, error) {
		if plan.UnfinishedRestore(o) != nil {
			return plan.BuildResume(c, o, opt)
		}
		disks, err := s.Disks(r.t.Context(), o)
		if err != nil {
			return nil, err
		}
		sources := plan.FindRecoverySources(c, o, disks, nil)
		best := sources.Best()
		if best == nil {
			return nil, fmt.Errorf("there is nothing to recover from: %+v", sources.All)
		}
		mark := kvserver.RestoreMark{Format: kvserver.RestoreMarkFormat, Run: fmt.Sprintf("run-%d", r.runs), At: now, By: "ana@desk", Token: opt.Token,
			Snapshot: kvserver.RestoreSource{Name: best.Name(), Disk: &kvserver.RestoreDisk{Member: best.Member, ClusterID: best.ClusterID, MemberID: best.MemberID, LastTerm: best.Term, LastIndex: best.Index}}}
		return plan.BuildRecover(c, o, opt, plan.RecoverInput{Mark: mark, Sources: sources, Identities: func(list, token string) (string, map[string]string, error) {
			cluster, ids := identities(list, token)
			members := map[string]string{}
			for name, id := range ids {
				members[name] = kvserver.ID(id)
			}
			return kvserver.ID(cluster), members, nil
		}})
	}
}

// recover is one run of it.
func (r *rig) recover(t *testing.T) (*plan.Plan, error) {
	t.Helper()
	s := r.session()
	defer s.Close()
	must(t, s.Lock(t.Context(), plan.Recover, 0))
	p, err := r.build(s, r.recovers(s))
	if err != nil {
		return nil, err
	}
	if len(p.Held) > 0 {
		return p, fmt.Errorf("held: %+v", p.Held)
	}
	_, err = s.Apply(t.Context(), context.Background(), p, provision.RunOptions{ID: fmt.Sprintf("run-%d", r.runs), Work: t.TempDir()})
	return p, err
}

// burnt is a rig of which these hosts are gone, so that no quorum is left.
func burnt(t *testing.T, gone ...string) *rig {
	t.Helper()
	r := newRig(t, strings.Replace(threeMembers, "client", "server {\n    wal_dir = \"/ssd/lab\"\n  }\n  client", 1))
	must(t, r.apply())
	r.etcd.mu.Lock()
	r.etcd.restores, r.etcd.revision = restores{}, 40
	r.etcd.mu.Unlock()
	for _, name := range gone {
		r.world.Machine(name).Crash("quorate-lab.service")
		r.world.Machine(name).SetUnreachable(errors.New("no route to host"))
	}
	return r
}

// TestRecoverAndGrow: two of three hosts are gone for good. The third one becomes a cluster of its own with all that it has; then one
// host comes back with its old data, the other one is a new machine, and both join.
func TestRecoverAndGrow(t *testing.T) {
	t.Parallel()
	r := burnt(t, "etcd2", "etcd3")
	old := r.etcd.cluster
	p, err := r.recover(t)
	must(t, err)
	if p.After.Total != 1 || p.After.Healthy != 1 || !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.HasPrefix(n, "etcd2 takes no part: its host could not be reached") }) {
		t.Errorf("%v afterwards, notes %q", p.After, p.Notes)
	}
	if r.etcd.cluster == old || r.etcd.revision < 40 {
		t.Fatalf("cluster %x at revision %d", r.etcd.cluster, r.etcd.revision)
	}
	if q, err := r.plan(); err != nil || len(q.Steps) != 1 || q.Steps[0].Kind != plan.KindEndpoints {
		t.Errorf("while they are away there is more to do than telling clients who serves: %+v, %v", q.Steps, err)
	}
	r.world.Machine("etcd2").Heal()
	r.respec(strings.Replace(strings.Replace(threeMembers, "client", "server {\n    wal_dir = \"/ssd/lab\"\n  }\n  client", 1), "192.168.7.103", "192.168.7.113", 1))
	must(t, r.apply())
	r.settled(t)
	if !slices.ContainsFunc(r.world.Machine("etcd2").Paths("/ssd/lab/.aside"), func(p string) bool { return strings.HasSuffix(p, ".wal") }) {
		t.Errorf("the old data of etcd2 is not kept: %q", r.world.Machine("etcd2").Paths("/ssd/lab"))
	}
}

// TestRecoverCutEverywhere: the tool dies at the first, second, … last call of a recovery in which the hosts send one another's data
// through this side. Then it is finished, or taken back and done anew.
func TestRecoverCutEverywhere(t *testing.T) {
	t.Parallel()
	for i, mode := range []string{"before", "midway", "reply lost"} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, undone=%t", mode, back), func(t *testing.T) {
				t.Parallel()
				first, stride := cuts(i)
				for n := first; ; n += stride {
					r := emptied(t)
					old := r.etcd.cluster
					r.world.ResetCalls()
					if mode == "midway" {
						r.world.CutMidwayAfter(n)
					} else {
						r.world.CutAfter(n, mode == "reply lost")
					}
					_, err := r.recover(t)
					cut := r.world.Cut()
					r.world.Heal()
					if !cut {
						must(t, err)
						r.recovered(t, old)
						return // the run needs no more calls than n
					}
					if back && r.unfinished() {
						_, _, err := r.run(t.Context(), plan.BuildUndo, nil)
						must(t, err)
						if r.unfinished() {
							t.Errorf("the marks of a recovery that was undone are still there")
						}
					}
					if r.unfinished() || r.etcd.cluster == old {
						_, err := r.recover(t)
						must(t, err)
					}
					if r.recovered(t, old); t.Failed() {
						t.Fatalf("%s call %d", mode, n)
					}
				}
			})
		}
	}
}

// emptied is a rig of which two hosts have lost their data, and are there.
func emptied(t *testing.T) *rig {
	t.Helper()
	r := burnt(t)
	for _, name := range []string{"etcd2", "etcd3"} {
		m := r.world.Machine(name)
		m.Crash("quorate-lab.service")
		m.RemoveAll("/var/lib/quorate/lab/member")
		m.RemoveAll("/ssd/lab/wal")
	}
	return r
}

// recovered sees that all members are of a new cluster, and that nothing is left of the way there.
func (r *rig) recovered(t *testing.T, old uint64) {
	t.Helper()
	if r.etcd.cluster == old || r.etcd.revision < plan.RevisionBump {
		t.Errorf("cluster %x at revision %d", r.etcd.cluster, r.etcd.revision)
	}
	r.settled(t)
	for _, m := range r.world.Machines() {
		for _, p := range slices.Concat(m.Paths("/var/lib/quorate/lab"), m.Paths("/ssd/lab"), m.Paths("/var/backups")) {
			if strings.Contains(p, "/.restore-") {
				t.Errorf("%s is left on %s", p, m.Name())
			}
		}
	}
}

// TestRecoverRefuses: what has become otherwise between the plan and the moment at which nobody runs any more ends a recovery before
// any data is made, and it can be taken back.
func TestRecoverRefuses(t *testing.T) {
	t.Parallel()
	write := func(m *hosttest.Machine, d disk) {
		text, _ := json.Marshal(d)
		m.WriteFile(wal("", "/ssd/lab/wal"), text, 0o600)
	}
	for want, change := range map[string]func(r *rig){
		"the disk of etcd2 ends at index 99 of term 1, and that of etcd1, which was chosen, at ": func(r *rig) {
			write(r.world.Machine("etcd2"), disk{Cluster: r.etcd.cluster, Member: 2, Index: 99, Served: true})
		},
		"the disk of etcd1 is of member 4d of cluster 7": func(r *rig) {
			write(r.world.Machine("etcd1"), disk{Cluster: 7, Member: 77, Index: 50, Served: true})
		},
		"nobody can say any more how far the disk of etcd1 goes": func(r *rig) {
			r.world.Machine("etcd1").RemoveAll("/ssd/lab/wal")
		},
		"no cluster can go on with what is on the disk of etcd1: snapshot-corrupt: in the snapshot the alarm CORRUPT stands": func(r *rig) {
			r.world.Machine("etcd1").WriteFile("/corrupt", []byte("CORRUPT"), 0o600)
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			r := burnt(t)
			for _, name := range []string{"etcd2", "etcd3"} {
				r.world.Machine(name).Crash("quorate-lab.service")
			}
			var once sync.Once
			r.world.Intercept(func(c hosttest.Call) error {
				if c.Method == "Service" && strings.Contains(c.Detail, "stop") {
					once.Do(func() { change(r) })
				}
				if strings.Contains(c.Detail, "kvserver restore") {
					t.Errorf("new data is made all the same: %s", c)
				}
				return nil
			})
			_, err := r.recover(t)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("want %q, got %v", want, err)
			}
			_, _, err = r.run(t.Context(), plan.BuildUndo, nil)
			must(t, err)
			if r.unfinished() {
				t.Error("the marks are still there")
			}
		})
	}
}
