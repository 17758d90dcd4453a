package provision_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/admintest"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
)

// TestModelOfUpkeep: what these tests take for members looks after its databases as members do.
func TestModelOfUpkeep(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	r.etcd.quota = 16 << 20
	s := r.session()
	defer s.Close()
	sub := r.subject(s)
	a := sub.Admin.(*admin)
	admintest.Upkeep(t, admintest.Kept{
		Subject: sub, Keeper: a, Quota: r.etcd.quota,
		Write:  func(ctx context.Context, via string, n int) error { return a.write(ctx, via, int64(n)) },
		Delete: a.remove,
	})
}

// builds for maintenance, as the verbs ask for it.
func defragBuild(rule *plan.FreeRule) builder {
	return func(c *spec.Cluster, o *plan.Observed, opt plan.Options) (*plan.Plan, error) {
		return plan.BuildDefrag(c, o, opt, plan.DefragOptions{Rule: rule})
	}
}

func compactBuild(c *spec.Cluster, o *plan.Observed, opt plan.Options) (*plan.Plan, error) {
	return plan.BuildCompact(c, o, opt, 3)
}

func disarmBuild(c *spec.Cluster, o *plan.Observed, opt plan.Options) (*plan.Plan, error) {
	return plan.BuildDisarm(c, o, opt, 3)
}

var worthIt = &plan.FreeRule{Free: 0.45, Larger: 1 << 20}

// used is a rig whose members have a megabyte in use of what is twelve, of which a compaction frees ten.
func used(t testing.TB) *rig {
	t.Helper()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	r.maintains = true
	r.etcd.quota = 16 << 20
	r.keep(func(ctx context.Context, a *admin) error {
		for range 12 {
			if err := a.write(ctx, "etcd2", 1<<20); err != nil {
				return err
			}
		}
		return nil
	})
	return r
}

// keep does something to what the members store, as a client would.
func (r *rig) keep(f func(ctx context.Context, a *admin) error) {
	r.t.Helper()
	s := r.session()
	defer s.Close()
	must(r.t, f(r.t.Context(), r.subject(s).Admin.(*admin)))
}

// full writes until NOSPACE stands.
func (r *rig) full() *rig {
	r.t.Helper()
	r.keep(func(ctx context.Context, a *admin) error {
		for range 100 {
			if err := a.write(ctx, "etcd2", 1<<20); errors.Is(err, kvserver.ErrNoSpace) {
				return nil
			} else if err != nil {
				return err
			}
		}
		return errors.New("it takes whatever is written")
	})
	return r
}

// compactedBy has the members compact, each of them, and go on with as large a file.
func (r *rig) compacted() *rig {
	r.t.Helper()
	_, _, err := r.run(r.t.Context(), compactBuild, nil)
	must(r.t, err)
	return r
}

// sound sees that nobody was taken away who was needed, and that all are there.
func (r *rig) sound(t testing.TB) {
	t.Helper()
	for v := range r.etcd.violations {
		t.Error(v)
	}
	if got := r.etcd.healthy(); got != 3 {
		t.Errorf("%d members are up", got)
	}
}

// TestMaintenanceCutEverywhere: the tool dies at the first, second, … last call of a run. Run again it finishes, nobody is
// defragmented who leads or while another one is away, and what a rule says is done once is not done again.
func TestMaintenanceCutEverywhere(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		rig   func(t *testing.T) *rig
		build builder
		after func(t *testing.T, r *rig)
	}{
		"compact": {func(t *testing.T) *rig { return used(t) }, compactBuild, func(t *testing.T, r *rig) {
			if r.etcd.compacted != r.etcd.revision-3 {
				t.Errorf("compacted up to %d of %d", r.etcd.compacted, r.etcd.revision)
			}
		}},
		"defrag": {func(t *testing.T) *rig { return used(t).compacted() }, defragBuild(worthIt), func(t *testing.T, r *rig) {
			for n, p := range r.etcd.peers {
				if p.size() != p.inUse() {
					t.Errorf("%s has %d of %d in use", n, p.inUse(), p.size())
				}
			}
			if len(r.etcd.defrags) > 3 || len(r.etcd.moves) > 1 {
				t.Errorf("defragmented %v, leadership moved %v", r.etcd.defrags, r.etcd.moves)
			}
		}},
		"disarm": {func(t *testing.T) *rig { return used(t).full() }, disarmBuild, func(t *testing.T, r *rig) {
			r.keep(func(ctx context.Context, a *admin) error { return a.write(ctx, "etcd1", 1<<20) })
			if len(r.etcd.defrags) > 3 || len(r.etcd.moves) > 1 {
				t.Errorf("defragmented %v, leadership moved %v", r.etcd.defrags, r.etcd.moves)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, mode := range []string{"before", "midway", "reply lost"} {
				first, stride := cuts(i)
				for n := first; ; n += stride {
					r := story.rig(t)
					r.world.ResetCalls()
					if mode == "midway" {
						r.world.CutMidwayAfter(n)
					} else {
						r.world.CutAfter(n, mode == "reply lost")
					}
					_, _, err := r.run(t.Context(), story.build, nil)
					cut := r.world.Cut()
					if err == nil && !cut {
						r.world.Heal()
						story.after(t, r)
						break // the run needs no more calls than n
					}
					r.world.Heal()
					if _, _, err := r.run(t.Context(), story.build, nil); err != nil {
						t.Fatalf("%s call %d, and again: %v", mode, n, err)
					}
					r.sound(t)
					story.after(t, r)
					if p, _, err := r.run(t.Context(), story.build, nil); err != nil || !p.Empty() {
						t.Fatalf("%s call %d: something is left to do: %+v, %v", mode, n, p, err)
					}
					if t.Failed() {
						t.Fatalf("%s call %d", mode, n)
					}
				}
			}
		})
	}
}

// TestCompactionIsWaitedFor: a compaction is over once each voter has deleted what it frees, also where it was
// cut and is asked for again on the way out of NOSPACE.
func TestCompactionIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]builder{"compact": compactBuild, "disarm": disarmBuild} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := used(t).full()
			if name == "disarm" {
				r.keep(func(ctx context.Context, a *admin) error { return a.Compact(ctx, "etcd1", r.etcd.revision-3) }) // and cut
			}
			_, _, err := r.run(t.Context(), build, nil)
			must(t, err)
			for n, p := range r.etcd.peers {
				if p.inUse() > emptyDatabase+4<<20 {
					t.Errorf("%s has %d in use still", n, p.inUse())
				}
			}
		})
	}
}

// TestNoSpaceEndToEnd: as one plan, the leader last, and each voter takes writes afterwards.
func TestNoSpaceEndToEnd(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{false, true} { // whether members tell at once what a compaction has freed
		noSpaceEndToEnd(t, silent)
	}
}

func noSpaceEndToEnd(t *testing.T, silent bool) {
	t.Helper()
	r := used(t).full()
	r.etcd.silent = silent
	leader := r.etcd.leader
	p, rep, err := r.run(t.Context(), disarmBuild, nil)
	must(t, err)
	var ids []string
	for _, s := range p.Steps {
		ids = append(ids, s.ID)
	}
	if len(ids) != 5 || ids[0] != "compact" || ids[3] != "defrag "+leader || ids[4] != "disarm" {
		t.Errorf("planned %q, and %s led", ids, leader)
	}
	if len(r.etcd.defrags) != 3 || r.etcd.defrags[2] != leader || len(r.etcd.moves) != 1 {
		t.Errorf("defragmented %v, leadership moved %v", r.etcd.defrags, r.etcd.moves)
	}
	if rep.Voters == nil || rep.Voters.Healthy != 3 {
		t.Errorf("at the end it saw %v", rep.Voters)
	}
	if detail := rep.Steps[4].Detail; detail != "writes are taken through etcd1, etcd2, etcd3" {
		t.Errorf("the last step says %q", detail)
	}
	if detail := rep.Steps[1].Detail; !strings.Contains(detail, " MiB → 4.1 MiB") {
		t.Errorf("the second step says %q", detail)
	}
	r.sound(t)
}

// TestMaintenanceRefusesAtExecution: the world gets worse between plan and step, and nobody is taken away.
func TestMaintenanceRefusesAtExecution(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rig   func(t *testing.T) *rig
		build builder
		worse func(r *rig)
		want  string
	}{
		"a voter has gone": {func(t *testing.T) *rig { return used(t).compacted() }, defragBuild(worthIt),
			func(r *rig) { r.world.Machine("etcd3").Crash("quorate-lab.service") }, "2 of 3 voters are healthy, and none is taken away"},
		"its own member has gone": {func(t *testing.T) *rig { return used(t).compacted() }, defragBuild(worthIt),
			func(r *rig) { r.world.Machine("etcd2").Crash("quorate-lab.service") }, "etcd2 does not serve"},
		"CORRUPT, before a defragmentation": {func(t *testing.T) *rig { return used(t).compacted() }, defragBuild(worthIt),
			func(r *rig) { r.etcd.peers["etcd3"].alarms = []string{"CORRUPT"} }, "etcd3 has raised the alarm CORRUPT"},
		"CORRUPT, before a compaction": {func(t *testing.T) *rig { return used(t) }, compactBuild,
			func(r *rig) { r.etcd.peers["etcd3"].alarms = []string{"CORRUPT"} }, "etcd3 has raised the alarm CORRUPT"},
		"CORRUPT, before disarming": {func(t *testing.T) *rig { return used(t).full() }, disarmBuild, func(r *rig) {
			r.etcd.asked = func(via, what string) error {
				if what == "defragment" && len(r.etcd.defrags) == 2 {
					r.etcd.peers["etcd3"].alarms = append(r.etcd.peers["etcd3"].alarms, "CORRUPT")
				}
				return nil
			}
		}, "etcd3 has raised the alarm CORRUPT"},
		"somebody else is at its address": {func(t *testing.T) *rig {
			r := used(t).compacted()
			r.etcd.leader = "etcd1" // so that etcd2 is the first
			return r
		}, defragBuild(worthIt),
			func(r *rig) { r.etcd.peers["etcd2"].id = 99 }, "etcd2 serves as member 63, and not as 2"},
		"there is no room after all": {func(t *testing.T) *rig { return used(t).full() }, disarmBuild,
			func(r *rig) { r.etcd.quota = 4 << 20 }, "and its quota is 4.0 MiB"},
		"there is no room for another write": {func(t *testing.T) *rig { return used(t).full() }, disarmBuild,
			func(r *rig) { r.etcd.quota = 4<<20 + emptyDatabase + 50 }, "has reached its quota again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := tc.rig(t)
			s := r.session()
			defer s.Close()
			p, err := r.build(s, tc.build)
			must(t, err)
			if p.Empty() || len(p.Held) > 0 {
				t.Fatalf("planned %+v, held %+v", p.Steps, p.Held)
			}
			before := len(r.etcd.defrags)
			tc.worse(r)
			_, err = s.Apply(t.Context(), t.Context(), p, provision.RunOptions{ID: "x"})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v", err)
			}
			if p.Verb == plan.Defrag && len(r.etcd.defrags) > before {
				t.Errorf("defragmented %v", r.etcd.defrags)
			}
			stands := false
			for _, peer := range r.etcd.peers {
				stands = stands || slices.Contains(peer.alarms, kvserver.AlarmNoSpace)
			}
			if p.Verb == plan.AlarmDisarm && !stands {
				t.Error("NOSPACE does not stand any more")
			}
			for v := range r.etcd.violations {
				t.Error(v)
			}
		})
	}
}

// TestAFailedDefragmentationStopsTheRest: the others keep their databases, and the alarm stands; it goes on where it was.
func TestAFailedDefragmentationStopsTheRest(t *testing.T) {
	t.Parallel()
	r := used(t).full()
	r.etcd.asked = func(via, what string) error {
		if what == "defragment" && len(r.etcd.defrags) == 1 {
			return errors.New("no space left on device")
		}
		return nil
	}
	_, rep, err := r.run(t.Context(), disarmBuild, nil)
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Fatalf("error %v", err)
	}
	if rep.Counts[provision.Failed] != 1 || rep.Counts[provision.Unreached] != 2 {
		t.Errorf("counts %v", rep.Counts)
	}
	r.etcd.asked = nil
	_, rep, err = r.run(t.Context(), disarmBuild, nil)
	must(t, err)
	if len(r.etcd.defrags) != 3 || rep.Counts[provision.Unchanged] != 2 { // the compaction, and the first of them
		t.Errorf("defragmented %v, %v", r.etcd.defrags, rep.Counts)
	}
	r.sound(t)
}

// TestALongDefragmentation: it is waited for as long as something is written, and not longer.
func TestALongDefragmentation(t *testing.T) {
	t.Parallel()
	for name, grows := range map[string]bool{"something is written": true, "nothing is written": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit = 200 * time.Millisecond
			r := used(t).compacted()
			s := r.session()
			defer s.Close()
			p, err := r.build(s, defragBuild(worthIt))
			must(t, err)
			for _, st := range p.Steps {
				st.Action.(*plan.Defragment).Idle = limit
			}
			p.Steps = p.Steps[:1]
			who := p.Steps[0].Member
			ended := make(chan error, 1)
			r.etcd.defragging = func(ctx context.Context, machine string) error {
				if !grows {
					<-ctx.Done()
					ended <- ctx.Err()
					return ctx.Err()
				}
				// It takes three times as long as it may stand still, and writes all the time.
				for i := range 30 {
					r.world.Machine(machine).WriteFile("/var/lib/quorate/lab/member/snap/db.tmp."+strings.Repeat("x", i), nil, 0o600)
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(limit / 10):
					}
				}
				return nil
			}
			_, err = s.Apply(t.Context(), t.Context(), p, provision.RunOptions{ID: "x"})
			switch {
			case grows && err != nil:
				t.Errorf("it was given up: %v", err)
			case !grows && (err == nil || !strings.Contains(err.Error(), who+" is writing its database anew") || !strings.Contains(err.Error(), "nothing has moved for 200ms")):
				t.Errorf("error %v", err)
			case !grows && <-ended == nil:
				t.Error("nobody stopped waiting")
			}
		})
	}
}
