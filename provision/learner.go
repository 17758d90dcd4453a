package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/provision/host"
)

// startLearner starts one member that joins, and waits until it answers for itself. It is ready only once it has
// what the others have, which may take as long as a large database takes on its way: it is waited for as long as
// something arrives, and not by the clock.
func (r *run) startLearner(ctx context.Context, s plan.Step, a *plan.Start) (outcome, error) {
	m := a.Members[0]
	h, err := r.session.Host(ctx, m.Member)
	if err != nil {
		return outcome{}, err
	}
	admin, err := r.session.Admin(ctx)
	if err != nil {
		return outcome{}, err
	}
	if m.Restart {
		if _, err := h.Service(ctx, host.ServiceRequest{Unit: m.Unit, Verb: "stop", Wait: plan.StopWait}); err != nil {
			return outcome{}, err
		}
	}
	idle, waits := r.idle(s, m.Member, a.Wait), r.waits(s, m.Member)
	for {
		u, err := h.Service(ctx, host.ServiceRequest{Unit: m.Unit, Verb: "start", Wait: startSlice, Progress: waits})
		if err == nil && (differs(u.ExeDigest, r.digest(m.ExeDigest)) || differs(u.ConfigDigest, m.ConfigDigest)) {
			return outcome{}, fmt.Errorf("%s runs with what lay on its host before: it was started by somebody else while this plan was applied; apply again", m.Member)
		}
		if err == nil {
			break
		}
		var failed *host.ServiceError
		if ctx.Err() != nil || !errors.As(err, &failed) || !failed.TimedOut() {
			return outcome{}, fmt.Errorf("%w%s", err, r.cutPeers(ctx, m.Member))
		}
		kib, state := r.stored(ctx, h, m.Member), "starting"
		if kib > 0 {
			state = fmt.Sprintf("starting, with %d MiB of data so far", kib>>10)
		}
		if !idle.moves(ctx, kib, state) {
			return outcome{}, fmt.Errorf("%s is starting, and nothing has reached it for %s: %w%s", m.Member, a.Wait, err, r.cutPeers(ctx, m.Member))
		}
	}
	r.session.relocate(m.Member, "") // it serves where its configuration, which is the spec's, says
	if admin, err = r.session.Admin(ctx); err != nil {
		return outcome{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.Wait, fmt.Errorf("%s did not answer within %s", m.Member, a.Wait))
	defer cancel()
	return outcome{changed: true}, r.until(ctx, m.Member, func() error {
		one, cancel := context.WithTimeout(ctx, apiTimeout)
		defer cancel()
		st, err := admin.Status(one, m.Member)
		if err == nil && st.Leader == 0 {
			err = errors.New("it has not found the leader yet")
		}
		if err != nil {
			return fmt.Errorf("%s does not answer: %w", m.Member, err)
		}
		r.saw(m.Member, st)
		return nil
	})
}

// startSlice is how long a starting learner is waited for at a time, before it is seen whether something arrives.
const startSlice = 5 * time.Second

// stored is how much a member has on disk, in KiB; 0 if that cannot be told.
func (r *run) stored(ctx context.Context, h host.Reader, member string) uint64 {
	dir := r.session.layout[member].Data
	look, err := h.Look(ctx, host.Query{Probes: []host.Probe{{Name: "stored", Argv: []string{"du", "-sk", dir}}}})
	if err != nil {
		return 0
	}
	kib, _, _ := strings.Cut(string(look.Probes["stored"].Stdout), "\t")
	n, err := strconv.ParseUint(strings.TrimSpace(kib), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// idleness watches something that is to grow.
type idleness struct {
	r      *run
	step   plan.Step
	member string
	limit  time.Duration
	most   uint64
	since  time.Time
	told   time.Time
	began  time.Time
}

func (r *run) idle(s plan.Step, member string, limit time.Duration) *idleness {
	now := time.Now()
	return &idleness{r: r, step: s, member: member, limit: limit, since: now, told: now, began: now}
}

// moves reports whether it has grown since it was told last, or not stood still for too long yet. It tells of the state, in words that follow "is", now and then.
func (i *idleness) moves(ctx context.Context, n uint64, state string) bool {
	now := time.Now()
	if n > i.most {
		i.most, i.since = n, now
	}
	if now.Sub(i.told) >= patience {
		i.told = now
		i.r.tell(Event{Type: Waiting, Step: i.step.ID, Title: i.step.Title, Member: i.member, Detail: state, Seconds: now.Sub(i.began).Seconds()})
	}
	return ctx.Err() == nil && now.Sub(i.since) < i.limit
}

// dialLimit bounds one attempt to connect: three retransmissions (1, 2 and 4 s) are what a lossy network needs.
const dialLimit = 7 * time.Second

// cutPeers says which members cannot connect with one another's peer ports, of those between a member and the others: in
// words that end an error, "" if all can.
func (r *run) cutPeers(ctx context.Context, member string) string {
	m := r.session.cluster.Member(member)
	if m == nil || ctx.Err() != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	var mu sync.Mutex
	var cut []string
	var wg sync.WaitGroup
	try := func(from, to, address string) {
		wg.Go(func() {
			conn, err := r.session.Dial(ctx, from, "tcp", address)
			if err == nil {
				_ = conn.Close() // it was there
				return
			}
			if r.session.alive(from) != nil {
				return // nobody can say
			}
			if to == member && errors.Is(err, syscall.ECONNREFUSED) {
				return // its host answers, and it does not run
			}
			mu.Lock()
			defer mu.Unlock()
			cut = append(cut, fmt.Sprintf("%s cannot connect with %s at %s: %v", from, to, address, err))
		})
	}
	for _, o := range r.session.cluster.Members {
		if o.Name == member {
			continue
		}
		try(member, o.Name, node.HostPort(o.Address, o.PeerPort))
		try(o.Name, member, node.HostPort(m.Address, m.PeerPort))
	}
	wg.Wait()
	if len(cut) == 0 {
		return ""
	}
	slices.Sort(cut)
	return "\n  " + strings.Join(cut, "\n  ")
}
