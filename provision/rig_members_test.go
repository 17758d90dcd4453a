package provision_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"quorate/kvserver"
	"quorate/provision"
)

// admin asks the model, through the machines' tunnels. What etcd demands of a change is as
// kvserver/reconfig.go has it, and the suite in kvserver/admintest sees that the model answers as etcd does.
type admin struct {
	etcd      *etcd
	endpoints []provision.Endpoint
	dial      provision.Dial
}

// reach gives the machine on which the member of that name answers.
func (a *admin) reach(ctx context.Context, name string) (machine string, err error) {
	for _, e := range a.endpoints {
		if e.Name == name {
			c, err := a.dial(ctx, name, "tcp", e.Address)
			if err != nil {
				return "", err
			}
			defer c.Close()
			said, err := io.ReadAll(c) // what a relay could not reach ends with why
			if err != nil {
				return "", err
			}
			if len(said) > 0 {
				name = string(said) // a relay that is programmed by a test may say nothing
			}
			return name, nil
		}
	}
	return "", errors.New("no such endpoint")
}

// ask asks a member that is up; learner says whether learners answer that. The model is locked meanwhile.
func (a *admin) ask(ctx context.Context, name string, learner bool, f func(e *etcd, p *peer) error) error {
	machine, err := a.reach(ctx, name)
	if err != nil {
		return err
	}
	e := a.etcd
	if e.peers[machine] != nil && e.peers[machine].hangs.Load() {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", kvserver.ErrSilent, ctx.Err())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.peers[machine]
	if p == nil || !p.up {
		return syscall.ECONNREFUSED
	}
	if m := e.listed(p.id); m != nil && m.Learner && !learner {
		return fmt.Errorf("etcdserver: rpc not supported for learner: %w", kvserver.ErrIsLearner)
	}
	return f(e, p)
}

func (a *admin) Members(ctx context.Context, via string) (out []kvserver.Member, err error) {
	return out, a.ask(ctx, via, false, func(e *etcd, _ *peer) error {
		if !e.quorum() {
			return noLeader()
		}
		out = e.list()
		return nil
	})
}

func (a *admin) MembersLocal(ctx context.Context, name string) (out []kvserver.Member, err error) {
	return out, a.ask(ctx, name, false, func(e *etcd, _ *peer) error { out = e.list(); return nil })
}

// list is a copy of the members.
func (e *etcd) list() []kvserver.Member {
	out := slices.Clone(e.members)
	for i := range out {
		out[i].PeerURLs, out[i].ClientURLs = slices.Clone(out[i].PeerURLs), slices.Clone(out[i].ClientURLs)
	}
	return out
}

func noLeader() error { return fmt.Errorf("etcdserver: no leader: %w", kvserver.ErrNoLeader) }

func (a *admin) Status(ctx context.Context, name string) (st kvserver.Status, err error) {
	return st, a.ask(ctx, name, true, func(e *etcd, p *peer) error {
		st = kvserver.Status{ClusterID: e.cluster, MemberID: p.id, Version: e.version, Revision: e.revision - p.lag, RaftIndex: e.index, RaftAppliedIndex: e.index - p.behind, Alarms: p.alarms,
			DBSize: p.size(), DBSizeInUse: p.inUse(), DBQuota: e.quota}
		if m := e.listed(p.id); m != nil {
			st.Learner = m.Learner
		}
		if l := e.peers[e.leader]; l != nil {
			st.Leader = l.id
		}
		p.behind -= min(p.behind, p.pace)
		return nil
	})
}

func (a *admin) HashKV(ctx context.Context, name string, revision int64) (h kvserver.Hash, err error) {
	if f := a.etcd.hashing; f != nil {
		f(name, revision)
	}
	return h, a.ask(ctx, name, false, func(e *etcd, p *peer) error {
		h = p.hash
		switch {
		case revision == 0:
			revision = e.revision - p.lag
		case p.memory != nil && revision == p.memory.Revision:
			h = *p.memory
			return nil
		case revision < h.CompactRevision:
			return kvserver.ErrCompacted
		case revision > e.revision-p.lag:
			return errors.New("etcdserver: mvcc: required revision is a future revision")
		}
		h.Revision = revision
		return nil
	})
}

func (a *admin) MoveLeader(ctx context.Context, leader string, to uint64) error {
	if hook := a.etcd.asked; hook != nil {
		if err := hook(leader, "hand over"); err != nil {
			return err
		}
	}
	return a.ask(ctx, leader, false, func(e *etcd, p *peer) error {
		if e.leader != p.machine.Name() {
			return errors.New("etcdserver: not leader")
		}
		if next := e.running(to); next != nil && e.votes(next.machine.Name()) {
			e.moves = append(e.moves, e.leader+">"+next.machine.Name())
			e.leader = next.machine.Name()
			return nil
		}
		return errors.New("etcdserver: bad leader transferee")
	})
}

// change asks for a change. Afterwards it reaches for the host once more: the answer comes the same way, so a connection that
// is cut there leaves a change that has happened and that nobody has heard of.
func (a *admin) change(ctx context.Context, via, what string, f func(e *etcd, p *peer) error) (out []kvserver.Member, err error) {
	var gone []*peer
	if hook := a.etcd.asked; hook != nil {
		if err := hook(via, what); err != nil {
			return nil, fmt.Errorf("cannot %s: %w", what, err)
		}
	}
	if err := a.ask(ctx, via, false, func(e *etcd, p *peer) error {
		if err := f(e, p); err != nil {
			return fmt.Errorf("cannot %s: %w", what, err)
		}
		e.index++
		e.changes = append(e.changes, what)
		e.settle("")
		for _, p := range e.peers {
			if p.up && e.removed[p.id] {
				gone = append(gone, p)
			}
		}
		out = e.list()
		return nil
	}); err != nil {
		return nil, err
	}
	for _, p := range gone {
		p.machine.Exit(p.unit)
	}
	if _, err := a.reach(ctx, via); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("cannot %s: %w", what, err)
	}
	return out, nil
}

// connected counts the voters that have been connected with this one for long enough, itself included.
func (e *etcd) connected(p *peer) (n int) {
	for _, m := range e.voters() {
		if o := e.running(m.ID); o != nil && (o == p || time.Since(o.since) >= e.interval && time.Since(p.since) >= e.interval) {
			n++
		}
	}
	return n
}

// named counts those that have a name.
func named(members []kvserver.Member) (n int) {
	for _, m := range members {
		if m.Name != "" {
			n++
		}
	}
	return n
}

var errUnhealthy = fmt.Errorf("etcdserver: unhealthy cluster: %w", kvserver.ErrTooFewStarted)

// urlsTaken is an error if somebody but that member is listed with one of these peer URLs.
func (e *etcd) urlsTaken(id uint64, urls []string) error {
	for _, m := range e.members {
		if m.ID != id && slices.ContainsFunc(urls, func(u string) bool { return slices.Contains(m.PeerURLs, u) }) {
			return fmt.Errorf("etcdserver: Peer URLs already exists: %w", kvserver.ErrPeerURLExists)
		}
	}
	return nil
}

func notFound() error {
	return fmt.Errorf("etcdserver: member not found: %w", kvserver.ErrMemberNotFound)
}

func (a *admin) AddLearner(ctx context.Context, via string, peerURLs []string) (m kvserver.Member, all []kvserver.Member, err error) {
	all, err = a.change(ctx, via, "add "+strings.Join(peerURLs, ","), func(e *etcd, p *peer) error {
		if e.connected(p) < kvserver.VotersToAdd(len(e.voters()), e.version) {
			return errUnhealthy
		}
		if !e.quorum() {
			return noLeader()
		}
		if err := e.urlsTaken(0, peerURLs); err != nil {
			return err
		}
		if len(e.members)-len(e.voters()) >= kvserver.MaxLearners {
			return fmt.Errorf("etcdserver: too many learner members in cluster: %w", kvserver.ErrTooManyLearners)
		}
		e.lastID++
		m = kvserver.Member{ID: e.lastID, PeerURLs: slices.Sorted(slices.Values(peerURLs)), Learner: true}
		e.members = append(e.members, m)
		return nil
	})
	if err != nil {
		return kvserver.Member{}, nil, err
	}
	return m, all, nil
}

func (a *admin) Promote(ctx context.Context, via string, id uint64) ([]kvserver.Member, error) {
	return a.change(ctx, via, fmt.Sprintf("promote %x", id), func(e *etcd, _ *peer) error {
		m := e.listed(id)
		switch {
		case !e.quorum():
			return noLeader()
		case m == nil:
			return notFound()
		case !m.Learner:
			return fmt.Errorf("etcdserver: can only promote a learner member: %w", kvserver.ErrNotLearner)
		case float64(e.match(id)) < kvserver.LearnerReady*float64(e.index):
			return fmt.Errorf("etcdserver: can only promote a learner member which is in sync with leader: %w", kvserver.ErrLearnerNotReady)
		case named(e.voters())+1 < (len(e.voters())+1)/2+1:
			return fmt.Errorf("etcdserver: re-configuration failed due to not enough started members: %w", kvserver.ErrTooFewStarted)
		}
		m.Learner = false
		return nil
	})
}

// match is how far the leader knows a member's log to be: what it was is not forgotten when that one goes down.
func (e *etcd) match(id uint64) uint64 {
	for _, p := range e.peers {
		if p.id == id {
			return e.index - p.behind
		}
	}
	return 0
}

func (a *admin) Remove(ctx context.Context, via string, id uint64) ([]kvserver.Member, error) {
	return a.change(ctx, via, fmt.Sprintf("remove %x", id), func(e *etcd, p *peer) error {
		m := e.listed(id)
		if m == nil || !m.Learner {
			others := slices.DeleteFunc(e.voters(), func(v kvserver.Member) bool { return v.ID == id })
			if named(others) < len(others)/2+1 {
				return fmt.Errorf("etcdserver: re-configuration failed due to not enough started members: %w", kvserver.ErrTooFewStarted)
			}
			if e.running(id) != nil && e.connected(p) < kvserver.VotersToRemove(len(e.voters())) {
				return errUnhealthy
			}
		}
		if !e.quorum() {
			return noLeader()
		}
		if m == nil {
			return notFound()
		}
		e.removed[id] = true
		e.members = slices.DeleteFunc(e.members, func(m kvserver.Member) bool { return m.ID == id })
		return nil
	})
}

func (a *admin) Update(ctx context.Context, via string, id uint64, peerURLs []string) ([]kvserver.Member, error) {
	return a.change(ctx, via, fmt.Sprintf("update %x %s", id, strings.Join(peerURLs, ",")), func(e *etcd, _ *peer) error {
		m := e.listed(id)
		if !e.quorum() {
			return noLeader()
		}
		if m == nil {
			return notFound()
		}
		if err := e.urlsTaken(id, peerURLs); err != nil {
			return err
		}
		m.PeerURLs = slices.Sorted(slices.Values(peerURLs))
		return nil
	})
}

func (a *admin) Close() error { return nil }
