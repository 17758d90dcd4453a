package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision/host"
)

// othersWait is how long the locks of the second and further hosts are waited
// for at least: a run that is just ending gives its hosts back one after another.
const othersWait = 5 * time.Second

// Lock takes the cluster's lock on every host that can be reached. The order
// is that of the hosts' addresses, which is the same for every operator
// whatever the order of members in the spec, so that two operators meet on the
// first host and cannot lock each other out. wait bounds how long another
// holder is waited for.
//
// A lock held by somebody else gives back what was taken and is a
// *host.LockedError; one held by this very run is a *SameMachineError. A host
// that cannot be reached is passed over: observing will name it. So is one whose
// lock cannot be had for another reason, which a plan may know in better words: see LocksFor.
func (s *Session) Lock(ctx context.Context, verb plan.Verb, wait time.Duration) error {
	s.mu.Lock()
	s.verb = verb
	s.mu.Unlock()
	s.connectAll(ctx)
	err := s.lockAll(ctx, verb, wait)
	if ctx.Err() != nil {
		err = context.Cause(ctx) // whatever the host called it
	}
	if err != nil {
		s.Unlock()
	}
	return err
}

// LocksFor is nil if a plan needs no lock that Lock could not take: it holds something of the host's member,
// and no step changes anything there. Otherwise the error says why there is no lock. Apply asks too.
func (s *Session) LocksFor(p *plan.Plan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.unlocked)) {
		works := func(st plan.Step) bool {
			return st.Member == name || !st.Kind.Looks() && slices.Contains(st.Action.Hosts(), name)
		}
		held := slices.ContainsFunc(p.Held, func(h plan.Held) bool { return h.Subject == name })
		if !held || slices.ContainsFunc(p.Steps, works) {
			errs = append(errs, s.unlocked[name])
		}
	}
	return errors.Join(errs...)
}

func (s *Session) lockAll(ctx context.Context, verb plan.Verb, wait time.Duration) error {
	rest := s.lockOrder()
	// The first host that can be reached decides: only who has it comes further. The others follow together.
	for len(rest) > 0 && len(s.locks) == 0 {
		if err := s.lock(ctx, rest[0], verb, wait); err != nil {
			return err
		}
		rest = rest[1:]
	}
	errs := make([]error, len(rest))
	parallel(len(rest), func(i int) { errs[i] = s.lock(ctx, rest[i], verb, max(wait, othersWait)) })
	return errors.Join(errs...)
}

// lockOrder sorts the machines by where their hosts are. Two that look the same
// keep an order by name.
func (s *Session) lockOrder() []*spec.Member {
	out := s.machines()
	slices.SortFunc(out, func(a, b *spec.Member) int {
		return strings.Compare(s.address(a)+" "+a.Name, s.address(b)+" "+b.Name)
	})
	return out
}

// address is where a member's host is, as the spec resolves it: host:port of
// its connection, or the root folder of a local one.
func (s *Session) address(m *spec.Member) string {
	if l := s.layout[m.Name]; l.Root != "" {
		return l.Root
	}
	return node.HostPort(strings.ToLower(cmp.Or(m.Connection.Host, m.Address)), cmp.Or(m.Connection.Port, 22))
}

// lock takes the lock on one host; nil also where the host cannot be reached, or gives none to anybody.
func (s *Session) lock(ctx context.Context, m *spec.Member, verb plan.Verb, wait time.Duration) error {
	h, err := s.Host(ctx, m.Name)
	if err != nil {
		return nil
	}
	r := host.LockRequest{Path: s.layout[m.Name].Lock, Holder: s.world.Holder}
	r.Holder.Verb, r.Holder.Since = string(verb), s.world.Clock()
	// Who has the lock looks next: both take one round trip, unless others are waited for.
	q := s.query(m, s.layout[m.Name])
	r.Look, r.Found = &q, func(l *host.Look) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.found[m.Name] = l
	}
	unlock, err := h.Lock(ctx, r)
	var locked *host.LockedError
	if errors.As(err, &locked) && !s.ours(locked) && wait > 0 {
		s.forgetFound()
		r.Wait, r.Look = wait, nil
		unlock, err = h.Lock(ctx, r)
	}
	switch {
	case err == nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.locks[m.Name] = unlock
		return nil
	case errors.As(err, &locked) && s.ours(locked):
		return s.sameMachine(ctx, m, h)
	case errors.As(err, &locked):
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlocked[m.Name] = fmt.Errorf("cannot lock cluster %q on %s: %w", s.cluster.Name, m.Name, err)
	return nil
}

// forgetFound has every host looked at anew: what was seen is not of this moment any more.
func (s *Session) forgetFound() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.found)
}

// ours reports whether a lock is held by this run.
func (s *Session) ours(e *host.LockedError) bool {
	return e.Holder.Run != "" && e.Holder.Run == s.world.Holder.Run
}

// SameMachineError says that members of the spec are one machine under several
// addresses: the lock that this run had taken through one of them was found at the other.
type SameMachineError struct {
	Cluster string
	// Member is where the lock was found; Others are those through one of which it was taken.
	Member string
	Others []string
}

func (e *SameMachineError) Error() string {
	return fmt.Sprintf("members %s and %s of cluster %q are the same machine: the lock that this run took through one was found on the other\n  give each member a machine of its own, or take one of them out of the spec",
		strings.Join(e.Others, " or "), e.Member, e.Cluster)
}

// sameMachine finds out through which other member this run locked m's host:
// of those whose lock it holds, the ones with the same machine id, or all of
// them where no host can tell.
func (s *Session) sameMachine(ctx context.Context, m *spec.Member, h host.Host) error {
	id := func(h host.Host) string {
		l, err := h.Look(ctx, host.Query{})
		if err != nil {
			return ""
		}
		return l.Facts.MachineID
	}
	s.mu.Lock()
	held := slices.Sorted(maps.Keys(s.locks))
	s.mu.Unlock()
	e := &SameMachineError{Cluster: s.cluster.Name, Member: m.Name, Others: held}
	if len(held) < 2 {
		return e
	}
	mine := id(h)
	var same []string
	for _, name := range held {
		other, err := s.Host(ctx, name)
		if err == nil && mine != "" && id(other) == mine {
			same = append(same, name)
		}
	}
	if len(same) > 0 {
		e.Others = same
	}
	return e
}

// Unlock gives the locks back; Close does it too.
func (s *Session) Unlock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.locks)) {
		_ = s.locks[name]() // the lock ends with its session in any case
	}
	clear(s.locks)
	clear(s.unlocked)
}
