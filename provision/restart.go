package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision/host"
)

// restart takes one voter away and brings it back: only while every voter is
// healthy, after moving leadership to another one, and done only once the
// member has caught up.
func (r *run) restart(ctx context.Context, s plan.Step, a *plan.Restart) (outcome, error) {
	return r.away(ctx, s, a, interlude{})
}

// interlude is what a restart does on its way, nothing of it by default.
type interlude struct {
	// before is made while the member serves and leads no more.
	before *plan.Update
	// stopped is done while the member is, and may take as long as it does.
	stopped func(ctx context.Context, h host.Host) error
}

// away is restart, with something to be done in between.
func (r *run) away(all context.Context, s plan.Step, a *plan.Restart, more interlude) (outcome, error) {
	within := func() (context.Context, context.CancelFunc) {
		return context.WithTimeoutCause(all, a.Wait, fmt.Errorf("%s did not serve within %s", s.Member, a.Wait))
	}
	ctx, cancel := within()
	defer func() { cancel() }()
	h, err := r.session.Host(ctx, s.Member)
	if err != nil {
		return outcome{}, err
	}
	admin, err := r.session.Admin(ctx)
	if err != nil {
		return outcome{}, err
	}
	// The host and the members are asked at once: a round trip less, and the members' answers are as new as the look.
	var peers map[string]kvserver.Status
	var unhealthy error
	var asked sync.WaitGroup
	asked.Go(func() { peers, unhealthy = r.allHealthy(ctx, admin, a.Voters) })
	runs, err := r.runsAs(ctx, h, a)
	asked.Wait()
	if err != nil || runs && more.before == nil {
		return outcome{}, err
	}
	if unhealthy != nil {
		return outcome{}, unhealthy
	}
	moved, err := handOver(ctx, admin, s.Member, peers)
	if err != nil {
		return outcome{}, err
	}
	if more.before != nil {
		if out, err := r.readdress(ctx, more.before); err != nil || runs {
			return out, err
		}
	}
	verb := "restart"
	if more.stopped != nil {
		verb = "start"
		if _, err := h.Service(ctx, host.ServiceRequest{Unit: a.Unit, Verb: "stop", Wait: plan.StopWait}); err != nil {
			return outcome{}, err
		}
		cancel()
		if err := more.stopped(all, h); err != nil {
			return outcome{}, fmt.Errorf("%w; %s is stopped until an apply goes on", err, s.Member)
		}
		ctx, cancel = within()
	}
	if _, err := h.Service(ctx, host.ServiceRequest{Unit: a.Unit, Verb: verb, Wait: a.Wait, Progress: r.waits(s, s.Member)}); err != nil {
		return outcome{}, err
	}
	r.session.relocate(s.Member, "") // it serves where its configuration, which is the spec's now, says
	if admin, err = r.session.Admin(ctx); err != nil {
		return outcome{}, err
	}
	if err := r.backWith(ctx, admin, s.Member, a.Voters, peers, func(st kvserver.Status) error {
		return told(ctx, admin, s.Member, st.MemberID, a)
	}); err != nil {
		return outcome{}, err
	}
	switch runs, err = r.runsAs(ctx, h, a); {
	case err != nil:
		return outcome{}, err
	case !runs:
		return outcome{}, fmt.Errorf("%s was restarted and still does not run the planned binary and configuration", s.Member)
	}
	return outcome{changed: true, detail: moved}, nil
}

// backWith waits until a voter that was away is healthy and has applied what any had before, and until so, if set, finds
// nothing to wait for in what it says of itself.
func (r *run) backWith(ctx context.Context, admin Admin, member string, voters int, before map[string]kvserver.Status, so func(kvserver.Status) error) error {
	var applied uint64
	for _, p := range before {
		applied = max(applied, p.RaftAppliedIndex)
	}
	return r.until(ctx, member, func() error {
		st, err := r.healthy(ctx, admin, member, voters)
		if err == nil && st.RaftAppliedIndex < applied {
			err = fmt.Errorf("%s has applied index %d, the others had %d before it was away", member, st.RaftAppliedIndex, applied)
		}
		if err == nil && so != nil {
			err = so(st)
		}
		return err
	})
}

// told is an error until a member has told the cluster its new name and address, which it does soon after it serves.
func told(ctx context.Context, admin Admin, member string, id uint64, a *plan.Restart) error {
	if a.Name == "" && a.ClientURL == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	list, err := admin.Members(ctx, member)
	if err != nil {
		return fmt.Errorf("%s does not serve: %w", member, err)
	}
	for _, m := range list {
		if m.ID == id && a.Name != "" && m.Name != a.Name {
			return fmt.Errorf("%s is listed as %q still", member, m.Name)
		}
		if m.ID == id && a.ClientURL != "" && !slices.Contains(m.ClientURLs, a.ClientURL) {
			return fmt.Errorf("%s is listed with the client URLs %v still", member, m.ClientURLs)
		}
	}
	return nil
}

// runsAs reports whether the process runs with what the plan wants.
func (r *run) runsAs(ctx context.Context, h host.Host, a *plan.Restart) (bool, error) {
	look, err := h.Look(ctx, host.Query{Units: []string{a.Unit}})
	if err != nil {
		return false, err
	}
	u := look.Units[a.Unit]
	return u.Active == "active" && u.ExeDigest == r.digest(a.ExeDigest) && u.ConfigDigest == a.ConfigDigest, nil
}

// allHealthy asks every member; a plan that takes a voter away was
// made for a cluster in which all of them answer.
func (r *run) allHealthy(ctx context.Context, admin Admin, voters int) (map[string]kvserver.Status, error) {
	healthy, err := r.serving(ctx, admin, r.session.everyone(), voters)
	if len(healthy) < voters {
		return nil, fmt.Errorf("%w: %d of %d voters are healthy, and none is taken away unless all are: %w", errQuorum, len(healthy), voters, err)
	}
	return healthy, sound(healthy, "")
}

// sound is nil unless a member that stays raises the alarm CORRUPT: whoever is left when one goes may be the bad copy.
func sound(healthy map[string]kvserver.Status, goes string) error {
	for _, name := range slices.Sorted(maps.Keys(healthy)) {
		if name != goes && slices.Contains(healthy[name].Alarms, kvserver.AlarmCorrupt) {
			return fmt.Errorf("%w: %s has raised the alarm CORRUPT since, and no voter is taken away meanwhile", errOther, name)
		}
	}
	return nil
}

// handOver moves leadership away from a member that has it, to the voter that
// has applied most. Says what it did.
func handOver(ctx context.Context, admin Admin, member string, all map[string]kvserver.Status) (string, error) {
	me := all[member]
	if me.Leader != me.MemberID || len(all) < 2 {
		return "", nil
	}
	best := ""
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != member && (best == "" || all[name].RaftAppliedIndex > all[best].RaftAppliedIndex) {
			best = name
		}
	}
	if err := admin.MoveLeader(ctx, member, all[best].MemberID); err != nil {
		return "", fmt.Errorf("cannot move leadership from %s to %s: %w", member, best, err)
	}
	return "leadership moved to " + best, nil
}
