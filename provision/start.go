package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision/host"
)

// start starts the units together, waits until each says that it serves, and
// then asks every member: one cluster, all voters listed, each of them healthy.
// Processes that have to go first are stopped before anybody is started: with
// the first that comes up they might serve, and be voters that nobody may take away.
func (r *run) start(ctx context.Context, s plan.Step, a *plan.Start) (outcome, error) {
	if a.Learner {
		return r.startLearner(ctx, s, a)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.Wait, fmt.Errorf("the members did not serve within %s", a.Wait))
	defer cancel()
	if err := r.spared(ctx, a); err != nil {
		return outcome{}, err
	}
	stale := slices.DeleteFunc(slices.Clone(a.Members), func(m plan.StartMember) bool { return !m.Restart })
	if err := r.each(ctx, stale, func(ctx context.Context, h host.Host, m plan.StartMember) error {
		_, err := h.Service(ctx, host.ServiceRequest{Unit: m.Unit, Verb: "stop", Wait: a.Wait})
		return err
	}); err != nil {
		return outcome{}, err
	}
	stop := r.meet(ctx, a)
	defer stop()
	if err := r.each(ctx, a.Members, func(ctx context.Context, h host.Host, m plan.StartMember) error {
		u, err := h.Service(ctx, host.ServiceRequest{Unit: m.Unit, Verb: "start", Wait: a.Wait, Progress: r.waits(s, m.Member)})
		if err == nil && (differs(u.ExeDigest, r.digest(m.ExeDigest)) || differs(u.ConfigDigest, m.ConfigDigest)) {
			err = fmt.Errorf("%s runs with what lay on its host before: it was started by somebody else while this plan was applied; apply again", m.Member)
		}
		return err
	}); err != nil {
		return outcome{}, err
	}
	for _, m := range a.Members {
		if m.Restart {
			r.session.relocate(m.Member, "") // it serves where its configuration, which is the spec's now, says
		}
	}
	id, err := r.oneCluster(ctx, a)
	if err != nil {
		return outcome{}, err
	}
	return outcome{changed: true, detail: fmt.Sprintf("cluster %x, %d voters", id, a.Voters)}, nil
}

// meet connects with members that form a cluster while their hosts start them: they open their ports at
// once, and who asks them afterwards finds the connection made, or being made. What comes of it does not
// matter. The function that it gives ends it.
func (r *run) meet(ctx context.Context, a *plan.Start) (stop func()) {
	admin, err := r.session.Admin(ctx)
	if err != nil || !a.Bootstrap || !r.session.direct() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, m := range a.Members {
		all.Go(func() {
			// A process is there after about a quarter of a second; who comes sooner comes in vain, and on a
			// far host learns that late.
			for pause := 250 * time.Millisecond; ; pause = 50 * time.Millisecond {
				select {
				case <-ctx.Done():
					return
				case <-time.After(pause):
				}
				if _, err := admin.Status(ctx, m.Member); err == nil || errors.Is(err, kvserver.ErrRefused) {
					return
				}
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// differs reports whether a digest is known and another one than wanted; "" is unknown, or not asked for.
func differs(is, want string) bool { return is != "" && want != "" && is != want }

// patience is how long a unit may take before anybody is told of it.
const patience = 2 * time.Second

// waits tells of the states that a unit goes through while a step waits for
// it, once it has taken longer than it should.
func (r *run) waits(s plan.Step, member string) func(host.UnitState) {
	began := r.session.world.Clock()
	said := ""
	return func(u host.UnitState) {
		state := u.String()
		if state == said || r.session.world.Clock().Sub(began) < patience && u.Restarts == 0 || u.Active == "active" {
			return
		}
		said = state
		r.tell(Event{Type: Waiting, Step: s.ID, Title: s.Title, Member: member, Detail: state,
			Seconds: r.session.world.Clock().Sub(began).Seconds()})
	}
}

// spared looks once more, before a process that may be a voter is restarted,
// that the others are a quorum by themselves: the plan saw it so, some time ago.
// A process that is not ready takes nobody's quorum away.
func (r *run) spared(ctx context.Context, a *plan.Start) error {
	touched := map[string]bool{}
	ready := false
	for _, m := range a.Members {
		if !m.Restart {
			continue
		}
		touched[m.Member] = true
		h, err := r.session.Host(ctx, m.Member)
		if err != nil {
			return err
		}
		look, err := h.Look(ctx, host.Query{Units: []string{m.Unit}})
		if err != nil {
			return err
		}
		ready = ready || look.Units[m.Unit].Active == "active"
	}
	if !ready {
		return nil
	}
	admin, err := r.session.Admin(ctx)
	if err != nil {
		return err
	}
	var others []string
	for _, name := range r.session.everyone() {
		if !touched[name] {
			others = append(others, name)
		}
	}
	healthy, err := r.serving(ctx, admin, others, a.Voters)
	if v := (plan.Voters{Total: a.Voters, Healthy: len(healthy)}); !v.Writable() {
		return fmt.Errorf("%w: without %s only %d of %d voters are healthy, and a quorum is %d: %w",
			errQuorum, strings.Join(slices.Sorted(maps.Keys(touched)), ", "), len(healthy), a.Voters, v.Quorum(), err)
	}
	return nil
}

// each runs f on every member's host together; the first failure ends the others.
func (r *run) each(ctx context.Context, members []plan.StartMember, f func(context.Context, host.Host, plan.StartMember) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parallel(len(members), func(i int) {
		h, err := r.session.Host(ctx, members[i].Member)
		if err == nil {
			err = f(ctx, h, members[i])
		}
		if err != nil {
			cancel(err) // only the first one counts: who is ended because of it has no story of its own
		}
	})
	return context.Cause(ctx)
}

// oneCluster asks every member until all agree or the deadline has come.
func (r *run) oneCluster(ctx context.Context, a *plan.Start) (uint64, error) {
	admin, err := r.session.Admin(ctx)
	if err != nil {
		return 0, err
	}
	answers := make([]kvserver.Status, len(a.Members))
	errs := make([]error, len(a.Members))
	parallel(len(a.Members), func(i int) {
		name := a.Members[i].Member
		errs[i] = r.until(ctx, name, func() error {
			st, err := r.healthy(ctx, admin, name, a.Voters)
			answers[i] = st
			return err
		})
	})
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	for i, s := range answers {
		if s.ClusterID != answers[0].ClusterID {
			return 0, fmt.Errorf("%s serves cluster %x and %s cluster %x: the hosts hold data of different clusters",
				a.Members[0].Member, answers[0].ClusterID, a.Members[i].Member, s.ClusterID)
		}
	}
	return answers[0].ClusterID, nil
}

// serving asks members, all at once, and gives those that are healthy; the error tells of the others.
func (r *run) serving(ctx context.Context, admin Admin, names []string, voters int) (map[string]kvserver.Status, error) {
	all := make([]kvserver.Status, len(names))
	errs := make([]error, len(names))
	parallel(len(names), func(i int) { all[i], errs[i] = r.healthy(ctx, admin, names[i], voters) })
	out := map[string]kvserver.Status{}
	for i, name := range names {
		if errs[i] == nil {
			out[name] = all[i]
		}
	}
	return out, errors.Join(errs...)
}

// healthy asks one member for a linearizable read and its status at the same
// time; the cluster must list that many voters.
func (r *run) healthy(ctx context.Context, admin Admin, name string, voters int) (kvserver.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var wg sync.WaitGroup
	var members []kvserver.Member
	var err error
	wg.Go(func() { members, err = admin.Members(ctx, name) })
	st, statusErr := admin.Status(ctx, name)
	wg.Wait()
	if err := errors.Join(err, statusErr); err != nil {
		return st, fmt.Errorf("%s does not serve: %w", name, err)
	}
	n, listed := 0, false
	for _, m := range members {
		if !m.Learner {
			n++
		}
		listed = listed || m.ID == st.MemberID
	}
	if !listed {
		return st, fmt.Errorf("%s serves as member %x, which the cluster does not list", name, st.MemberID)
	}
	if n != voters {
		return st, fmt.Errorf("%s lists %d voters instead of %d", name, n, voters)
	}
	r.saw(name, st)
	return st, nil
}

// until repeats f, a little later each time, until it works, ctx ends, or the
// connection with the member's host is gone; then the last error of f is the story.
func (r *run) until(ctx context.Context, member string, f func() error) error {
	wait := 20 * time.Millisecond
	for {
		err := f()
		if err == nil {
			return nil
		}
		if gone := r.session.alive(member); gone != nil {
			return gone
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (gave up: %w)", err, context.Cause(ctx))
		case <-time.After(wait):
		}
		wait = min(wait*2, time.Second)
	}
}
