package provision_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"quorate/plan"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// When begin ends, the steps in flight finish and nothing new is begun.
func TestInterruptFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	begin, interrupt := context.WithCancel(context.Background())
	began := map[string]bool{}
	_, rep, err := r.run(begin, plan.Build, func(e provision.Event) {
		if e.Type == provision.StepStarted {
			if began[e.Step] = true; strings.HasPrefix(e.Step, "start") {
				interrupt()
			}
		}
	})
	var stopped *provision.InterruptedError
	if !errors.As(err, &stopped) || stopped.Left == 0 || stopped.Left != rep.Counts[provision.Unreached] {
		t.Fatalf("error %v, %+v", err, rep.Counts)
	}
	for _, s := range rep.Steps {
		want := provision.Unreached
		if began[s.ID] {
			want = provision.Changed
			if strings.HasPrefix(s.ID, "reach ") {
				want = provision.Unchanged // it only looks
			}
		}
		if s.Result != want {
			t.Errorf("%s: %s, want %s (%s)", s.ID, s.Result, want, s.Error)
		}
	}
	if r.etcd.healthy() != 3 {
		t.Errorf("%d members are up: the start in flight was not finished", r.etcd.healthy())
	}
	must(t, r.apply())
	r.settled(t)
}

// An interrupt when all is done, or nothing but the last step is under way, is none.
func TestInterruptAtTheLastStep(t *testing.T) {
	t.Parallel()
	r := newRig(t, strings.Replace(threeMembers, `client "apiserver" {}`, "", 1))
	begin, interrupt := context.WithCancel(context.Background())
	left := 0
	s := r.session()
	defer s.Close()
	p, err := r.build(s, plan.Build)
	must(t, err)
	left = len(p.Steps)
	if _, err := s.Apply(begin, context.Background(), p, provision.RunOptions{ID: "x", Parallelism: 1, Events: func(e provision.Event) {
		if e.Type == provision.StepStarted {
			if left--; left == 0 {
				interrupt()
			}
		}
	}}); err != nil {
		t.Error(err)
	}
	if left != 0 {
		t.Errorf("%d steps were not begun", left)
	}
}

// When abort ends, the steps in flight are given up where they stand; a run
// after it completes.
func TestAbortAbandonsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	begin, interrupt := context.WithCancel(context.Background())
	abort, again := context.WithCancel(context.Background())
	r.world.Machine("etcd2").Handle("kvserver", func(ctx context.Context, _ *hosttest.Machine, _ host.Command) (host.Result, error) {
		interrupt()
		again()
		<-ctx.Done()
		return host.Result{}, ctx.Err()
	})
	s := r.session()
	must(t, s.Lock(begin, plan.Apply, 0))
	p, err := r.build(s, plan.Build)
	must(t, err)
	rep, err := s.Apply(begin, abort, p, provision.RunOptions{ID: "x"})
	var stopped *provision.InterruptedError
	if !errors.As(err, &stopped) {
		t.Fatalf("error %v", err)
	}
	results := map[string]provision.Result{}
	for _, st := range rep.Steps {
		results[st.ID] = st.Result
	}
	if results["certificates etcd2"] != provision.Incomplete || rep.Counts[provision.Failed] != 0 {
		t.Errorf("results %v", results)
	}
	must(t, s.Close())
	r.world.Machine("etcd2").Handle("kvserver", keys)
	must(t, r.apply())
	r.settled(t)
}
