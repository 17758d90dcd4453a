package provision_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"quorate/plan"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// depending is a rig with dependents, and how they are.
func depending(t *testing.T) (*rig, *kube, string) {
	t.Helper()
	r := keptAs(t, dependentMembers)
	k := r.depend()
	return r, k, k.state(r)
}

// asBefore sees that everybody who depends is as before.
func (k *kube) asBefore(t *testing.T, r *rig, before string) {
	t.Helper()
	if now := k.state(r); now != before {
		t.Errorf("of those who depend on the cluster this is so:\n%s\nand before it was:\n%s", now, before)
	}
}

// Dependents are down while members are stopped and data is exchanged, in their order, and all as before afterwards.
func TestRestoreStopsDependents(t *testing.T) {
	t.Parallel()
	r, k, before := depending(t)
	old := r.etcd.cluster
	var order []string
	k.watch(t, r)
	r.world.Machine("control1").Intercept(func(c hosttest.Call) error {
		if c.Writes {
			order = append(order, c.Method+" "+c.Detail)
		}
		return nil
	})
	_, rep, err := r.run(t.Context(), r.restoreBuild, nil)
	must(t, err)
	r.isRestored(t, old)
	k.asBefore(t, r, before)
	const away = "/etc/kubernetes/.quorate-restore-run-2"
	want := []string{
		"Write " + away + " " + away + "/kube-apiserver.yaml", "Remove " + manifests + "/kube-apiserver.yaml",
		"Write " + away + " " + away + "/kube-scheduler.yaml", "Remove " + manifests + "/kube-scheduler.yaml",
		"Service stop kubelet.service", "Service start kubelet.service",
		"Write " + manifests + "/kube-apiserver.yaml", "Remove " + away + "/kube-apiserver.yaml", "Remove " + away,
		"Write " + manifests + "/kube-scheduler.yaml", "Remove " + away + "/kube-scheduler.yaml", "Remove " + away,
	}
	if got := strings.Join(order, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("on control1 was done\n%s\nand should be\n%s", got, strings.Join(want, "\n"))
	}
	if rep.Counts[provision.Partly] != 0 {
		t.Errorf("%+v", rep.Counts)
	}
}

// Whatever is not a restore does not even connect with them.
func TestApplyLeavesDependentsAlone(t *testing.T) {
	t.Parallel()
	r, k, before := depending(t)
	r.depends = false
	r.world.ResetCalls()
	r.world.Intercept(func(c hosttest.Call) error {
		if c.Machine == "control1" || c.Machine == "worker1" {
			t.Errorf("%s", c)
		}
		return nil
	})
	must(t, r.apply())
	k.asBefore(t, r, before)
}

// TestDependentsCutEverywhere: the tool dies at any call of a restore; whoever finishes it or takes it back leaves those who depend as they were, and
// they never run while data is exchanged.
func TestDependentsCutEverywhere(t *testing.T) {
	t.Parallel()
	for i, mode := range []string{"before", "midway", "reply lost"} {
		for _, back := range []bool{false, true} {
			if !soaks() && back == (i == 1) {
				continue // restores without dependents are cut in all ways
			}
			t.Run(fmt.Sprintf("%s, undone=%t", mode, back), func(t *testing.T) {
				t.Parallel()
				first, stride := cuts(i)
				for n := first; ; n += stride {
					r, k, before := depending(t)
					old := r.etcd.cluster
					k.watch(t, r)
					cut := r.cutAt(t, mode, n, r.restoreBuild)
					k.watch(t, r) // a cut is healed with all else
					if cut {
						r.goOn(t, old, back && r.unfinished())
					}
					k.asBefore(t, r, before)
					if t.Failed() {
						t.Fatalf("%s call %d", mode, n)
					}
					if !cut {
						return
					}
				}
			})
		}
	}
}

// An undo that is cut once they were up again, too.
func TestDependentsOfAnUndoCutEverywhere(t *testing.T) {
	t.Parallel()
	for i, mode := range []string{"before", "midway", "reply lost"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			first, stride := cuts(i)
			for n := first; ; n += stride {
				r, k, before := depending(t)
				old := r.etcd.cluster
				r.stopAt(t, "end the restore")
				k.watch(t, r)
				cut := r.cutAt(t, mode, n, plan.BuildUndo)
				k.watch(t, r)
				if cut {
					r.goOn(t, old, true)
				}
				k.asBefore(t, r, before)
				if t.Failed() {
					t.Fatalf("%s call %d", mode, n)
				}
				if !cut {
					return
				}
			}
		})
	}
}

// A unit, or a pod, that does not end: the members serve on, nothing of them was touched, and an undo leaves all as it was.
func TestDependentThatDoesNotStop(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stick func(r *rig, k *kube) (free func())
		want  []string
	}{
		"unit": {
			func(r *rig, _ *kube) func() {
				m, free := r.world.Machine("worker1"), make(chan struct{})
				m.SetPatience(20 * time.Millisecond)
				m.Exit("confd.service")
				m.Program("confd.service", func(p *hosttest.Process) error {
					p.Ends = func() bool {
						select {
						case <-free:
							return true
						default:
							return false
						}
					}
					return nil
				})
				_, err := m.Host().Service(t.Context(), host.ServiceRequest{Unit: "confd.service", Verb: "start"})
				must(t, err)
				return func() { m.SetPatience(30 * time.Second); close(free) }
			},
			[]string{"confd.service on worker1 does not stop, and no data is touched while it runs", "deactivating"},
		},
		"pod": {
			func(r *rig, k *kube) func() {
				k.stuck["kube-apiserver"] = true
				return func() { delete(k.stuck, "kube-apiserver") }
			},
			[]string{"control1: kube-apiserver runs (process 500", "no data is touched meanwhile", "for 1s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, k, before := depending(t)
			free := tt.stick(r, k)
			old := r.etcd.cluster
			r.world.Intercept(func(c hosttest.Call) error {
				if strings.HasPrefix(c.Machine, "etcd") && c.Method == "Service" && strings.Contains(c.Detail, "quorate") || c.Method == "Move" {
					t.Errorf("%s", c)
				}
				return nil
			})
			_, _, err := r.run(t.Context(), r.restoreBuild, nil)
			if err == nil {
				t.Fatal("it has restored")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("it does not say %q: %v", w, err)
				}
			}
			if r.etcd.cluster != old || r.etcd.healthy() != 3 || !r.unfinished() {
				t.Errorf("cluster %x, %d up, unfinished=%t", r.etcd.cluster, r.etcd.healthy(), r.unfinished())
			}
			free()
			_, _, err = r.run(t.Context(), plan.BuildUndo, nil)
			must(t, err)
			r.world.Intercept(nil)
			r.isOld(t, old)
			k.asBefore(t, r, before)
		})
	}
}

// What does not come back is named with what starts it, the run has failed, and the restore is over all the same.
func TestDependentThatDoesNotStart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		harm func(r *rig, k *kube)
		want []string
	}{
		"unit": {
			func(r *rig, _ *kube) {
				r.world.Machine("worker1").Program("kube-proxy.service", hosttest.FailsWith("bad luck"))
			},
			[]string{"worker1: kube-proxy.service has not started", "on worker1: systemctl start kube-proxy.service confd.service"},
		},
		"unit that does not stay": {
			func(r *rig, _ *kube) {
				m := r.world.Machine("worker1")
				m.Program("kube-proxy.service", func(p *hosttest.Process) error { go m.Crash("kube-proxy.service"); return nil })
			},
			[]string{"worker1: kube-proxy.service", "on worker1: systemctl start"},
		},
		"machine": {
			func(r *rig, _ *kube) {
				r.world.Intercept(func(c hosttest.Call) error {
					if c.Machine == "worker1" && c.Detail == "start kube-proxy.service" {
						return errors.New("no route to host")
					}
					return nil
				})
			},
			[]string{"worker1: kube-proxy.service has not started", "no route to host"},
		},
		"manifest that was replaced": {
			func(r *rig, _ *kube) {
				r.world.Intercept(func(c hosttest.Call) error {
					if c.Machine == "control1" && c.Detail == "start kubelet.service" {
						r.world.Machine("control1").WriteFile(manifests+"/kube-apiserver.yaml", []byte("another"), 0o600)
					}
					return nil
				})
			},
			[]string{"control1: ", "somebody has put another file in the place of " + manifests + "/kube-apiserver.yaml", "mv -n /etc/kubernetes/.quorate-restore-run-2/kube-apiserver.yaml " + manifests},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, k, _ := depending(t)
			old := r.etcd.cluster
			tt.harm(r, k)
			_, rep, err := r.run(t.Context(), r.restoreBuild, nil)
			if err == nil {
				t.Fatal("nobody says so")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("it does not say %q: %v", w, err)
				}
			}
			if rep.Counts[provision.Partly] != 1 || rep.Counts[provision.Failed]+rep.Counts[provision.Unreached] != 0 || rep.Voters == nil || r.unfinished() {
				t.Errorf("%+v, voters %v, unfinished=%t", rep.Counts, rep.Voters, r.unfinished())
			}
			if got := strings.Join(k.running(r), " "); !strings.Contains(got, "etcd1 confd.service") || !strings.Contains(got, "worker1 confd.service") {
				t.Errorf("the others are not started either: %s", got)
			}
			r.world.Intercept(nil)
			r.isRestored(t, old)
		})
	}
}
