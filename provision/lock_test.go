package provision_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

func TestSecondOperatorIsToldWho(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	a, b := r.session(), r.session()
	defer a.Close()
	defer b.Close()
	must(t, a.Lock(context.Background(), plan.Apply, 0))
	err := b.Lock(context.Background(), plan.Apply, 0)
	var locked *host.LockedError
	if !errors.As(err, &locked) || locked.Holder.Who != "ana@desk" || locked.Holder.Verb != "apply" || locked.Holder.Since.IsZero() {
		t.Fatalf("got %v", err)
	}
	must(t, a.Close())
	must(t, b.Lock(context.Background(), plan.Apply, 0))
}

// The order of locks is the hosts', not the spec's: two operators whose specs
// list the members in another order meet on the same host, so that one of them goes on.
func TestLocksHaveOneOrderForEverybody(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		r := newRig(t, threeMembers)
		members := slices.Clone(r.cluster.Members)
		for i, k := range order {
			r.cluster.Members[i] = members[k]
		}
		s := r.session()
		must(t, s.Lock(context.Background(), plan.Apply, 0))
		first := ""
		for _, c := range r.world.Calls() {
			if c.Method == "Lock" {
				first = c.Machine
				break
			}
		}
		if first != "etcd1" {
			t.Errorf("members in the order %v: %s was locked first", order, first)
		}
		must(t, s.Close())
	}
}

// Many operators at the same instant, each with an order of members of its own:
// one after another all get through.
func TestOperatorsDoNotLockEachOtherOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	for _, m := range r.world.Machines() {
		m.SetLatency(time.Millisecond) // the locks are taken while the others take theirs
	}
	var wg sync.WaitGroup
	for i := range 6 {
		turned := *r.cluster
		turned.Members = slices.Clone(r.cluster.Members)
		if i%2 == 1 {
			slices.Reverse(turned.Members)
		}
		s := r.sessionOf(&turned)
		wg.Go(func() {
			defer s.Close()
			if err := s.Lock(context.Background(), plan.Apply, 20*time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// One machine under the addresses of two members is known by this run's own
// lock, found there a second time.
func TestOneMachineAsTwoMembers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, as, want string }{
		{"etcd2", "etcd1", "members etcd1 and etcd2 of cluster \"lab\" are the same machine"},
		{"etcd3", "etcd1", "members etcd1 and etcd3 of cluster \"lab\" are the same machine"},
	} {
		r := newRig(t, threeMembers)
		r.same = map[string]string{c.name: c.as}
		s := r.session()
		begun := time.Now()
		err := s.Lock(context.Background(), plan.Apply, time.Hour)
		var same *provision.SameMachineError
		if !errors.As(err, &same) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s is %s: %v", c.name, c.as, err)
		}
		if time.Since(begun) > 2*time.Second {
			t.Errorf("it waited %s for its own lock", time.Since(begun))
		}
		other := r.session()
		r.same = nil
		must(t, other.Lock(context.Background(), plan.Apply, 0)) // all was given back
		must(t, errors.Join(s.Close(), other.Close()))
	}
	// The two that are one are neither the first: the machine id tells which.
	r := newRig(t, threeMembers)
	r.same = map[string]string{"etcd3": "etcd2"}
	s := r.session()
	defer s.Close()
	err := s.Lock(context.Background(), plan.Apply, 0)
	if err == nil || !strings.Contains(err.Error(), "members etcd2 and etcd3 of") && !strings.Contains(err.Error(), "members etcd3 and etcd2 of") {
		t.Errorf("%v", err)
	}
}

// Who locks has looked: the first look after it asks no host, the second does;
// and after a lock that was waited for so does the first.
func TestLockedIsLookedAt(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	calls := func(method string) (n int) {
		for _, c := range r.world.Calls() {
			if c.Method == method {
				n++
			}
		}
		return n
	}
	s := r.session()
	defer s.Close()
	must(t, s.Lock(context.Background(), plan.Apply, 0))
	first, err := s.Observe(context.Background())
	must(t, err)
	if n := calls("Look"); n != 0 {
		t.Errorf("%d looks beside those of the locks", n)
	}
	second, err := s.Observe(context.Background())
	must(t, err)
	if n := calls("Look"); n != 3 {
		t.Errorf("%d looks instead of three", n)
	}
	for name, h := range first.Hosts {
		if h.Problem != "" || !reflect.DeepEqual(h.Files, second.Hosts[name].Files) {
			t.Errorf("%s: the lock saw %+v, a look sees %+v", name, h, second.Hosts[name])
		}
	}

	other := r.session()
	defer other.Close()
	locked := make(chan error, 1)
	go func() { locked <- other.Lock(context.Background(), plan.Apply, time.Minute) }()
	for calls("Lock") < 3+2 { // it has found the first host locked, and waits for it
		time.Sleep(time.Millisecond)
	}
	s.Unlock()
	must(t, <-locked)
	_, err = other.Observe(context.Background())
	must(t, err)
	if n := calls("Look"); n != 3+1 {
		t.Errorf("%d looks: the host that was waited for is to be looked at, and no other", n-3)
	}
}

// Why a lock could not be taken is said as it is; an interrupt is the only
// reason that is called one.
func TestLockFailureHasItsReason(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	r.world.Machine("etcd2").Intercept(func(c hosttest.Call) error {
		if c.Method == "Lock" {
			return errors.New("flock: command not found")
		}
		return nil
	})
	s := r.session()
	defer s.Close()
	must(t, s.Lock(context.Background(), plan.Apply, 0))
	p, err := r.build(s, plan.Build)
	must(t, err)
	if len(p.Held) > 0 {
		t.Errorf("held: %+v", p.Held)
	}
	_, applied := s.Apply(context.Background(), context.Background(), p, provision.RunOptions{})
	for _, err := range []error{s.LocksFor(p), applied} {
		if err == nil || !strings.Contains(err.Error(), `cannot lock cluster "lab" on etcd2`) || !strings.Contains(err.Error(), "flock: command not found") {
			t.Errorf("%v", err)
		}
	}
	r.world.Machine("etcd1").SetFacts(func(f *host.Facts) { f.Missing = []string{"gzip"} })
	p, err = r.build(s, plan.Build)
	must(t, err)
	if err := s.LocksFor(p); err == nil || !p.Blocked() {
		t.Error("what is held of another host is no reason why this one has no lock")
	}
	why := errors.New("somebody pressed a key")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	if err := r.session().Lock(ctx, plan.Apply, 0); !errors.Is(err, why) {
		t.Errorf("interrupted: %v", err)
	}
}

// What keeps a host from being locked is said in the plan's words, where it has some, and nothing is done
// there; the hosts that are left in a cluster that is there are looked after all the same.
func TestNoLockWhereThePlanHolds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"etcd1", "etcd2"} { // the first that is locked, and another
		for what, spoil := range map[string]func(m *hosttest.Machine){
			"tool-missing":   func(m *hosttest.Machine) { m.SetFacts(func(f *host.Facts) { f.Missing = []string{"flock"} }) },
			"mount-unusable": func(m *hosttest.Machine) { must(t, m.Mount("/run", &hosttest.Disk{ReadOnly: true})) },
		} {
			fresh, there := newRig(t, threeMembers), newRig(t, threeMembers)
			must(t, there.apply())
			for _, r := range []*rig{fresh, there} {
				spoil(r.world.Machine(name))
				for _, m := range r.world.Machines() {
					if r == there {
						m.WriteFile("/etc/quorate/lab/etcd.yaml", []byte("edited"), 0o644)
					}
				}
				before := r.world.Machine(name).Dump()
				s := r.session()
				defer s.Close()
				must(t, s.Lock(context.Background(), plan.Apply, 0))
				p, err := r.build(s, plan.Build)
				must(t, err)
				if len(p.Held) != 1 || string(p.Held[0].Reason) != what || p.Held[0].Subject != name || p.Blocked() != (r == fresh) {
					t.Errorf("%s of %s: held %+v", what, name, p.Held)
				}
				if err := s.LocksFor(p); err != nil {
					t.Errorf("%s of %s: %v: %+v", what, name, err, p.Steps)
				}
				if p.Blocked() {
					continue
				}
				if _, err := s.Apply(context.Background(), context.Background(), p, provision.RunOptions{}); err != nil {
					t.Errorf("%s of %s: %v", what, name, err)
				}
				if got := r.world.Machine(name).Dump(); got != before {
					t.Errorf("%s of %s: the host was touched\n%s\n%s", what, name, before, got)
				}
				if text, _ := r.world.Machine("etcd3").ReadFile("/etc/quorate/lab/etcd.yaml"); string(text) == "edited" {
					t.Errorf("%s of %s: the other hosts were left as they are", what, name)
				}
			}
		}
	}
}

// sessionOf is a session for a spec of its own.
func (r *rig) sessionOf(c *spec.Cluster) *provision.Session {
	was := r.cluster
	defer func() { r.cluster = was }()
	r.cluster = c
	return r.session()
}
