package provision_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"quorate/kvserver"
)

// store is what the members of the model agree on of their databases, which hold one key.
type store struct {
	quota     int64 // of each member's
	compacted int64
	live      int64 // bytes of the key's value
	history   []superseded
	inherited []kvserver.Alarm // of members of the cluster that it was restored from
	silent    bool             // members do not tell what a compaction has freed: nothing is committed after it
	defrags   []string         // machines whose databases were written anew, in order
	// defragging is told of each of them while it is under way, with what ends the waiting; its error is the answer.
	defragging func(ctx context.Context, machine string) error
}

// superseded are the bytes that a compaction up to the revision, or a later one, frees.
type superseded struct{ revision, bytes int64 }

// database is one member's.
type database struct {
	more    int64 // in use, beyond an empty one
	most    int64 // of that, since it was written anew
	freedTo int64 // up to which revision it has deleted what is free
	untold  int64 // of what is free that it does not tell of, until it commits something again
}

// emptyDatabase is how large one is that holds nothing.
const emptyDatabase = 64 << 10

func (d *database) inUse() int64 { return emptyDatabase + d.more + d.untold }
func (d *database) size() int64  { return emptyDatabase + d.most }

func (d *database) grow(n int64) {
	d.more += n
	d.most = max(d.most, d.more)
}

// free deletes what the compaction has freed.
func (e *etcd) free(p *peer) {
	for _, h := range e.history {
		if h.revision > p.freedTo && h.revision <= e.compacted {
			p.more -= h.bytes
			if e.silent {
				p.untold += h.bytes
			}
		}
	}
	p.freedTo = max(p.freedTo, e.compacted)
}

// refuses is what a write through a member comes to that needs so many bytes.
func (e *etcd) refuses(p *peer, n int64) error {
	refused := fmt.Errorf("etcdserver: mvcc: database space exceeded: %w", kvserver.ErrNoSpace)
	for _, o := range e.peers {
		if slices.Contains(o.alarms, kvserver.AlarmNoSpace) || len(e.inherited) > 0 {
			return refused
		}
	}
	if p.size()+n >= e.quota {
		p.alarms = append(p.alarms, kvserver.AlarmNoSpace)
		return refused
	}
	return nil
}

// effect is an asking that changes something. Afterwards it reaches for the host once more, as [admin.change] does.
func (a *admin) effect(ctx context.Context, via, what string, f func(e *etcd, p *peer) error) error {
	if hook := a.etcd.asked; hook != nil {
		if err := hook(via, what); err != nil {
			return fmt.Errorf("cannot %s: %w", what, err)
		}
	}
	answer := a.ask(ctx, via, false, func(e *etcd, p *peer) error {
		if !e.quorum() {
			return noLeader()
		}
		return f(e, p)
	})
	if _, err := a.reach(ctx, via); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	return answer
}

// Compact leaves the deleting to each member, which gets to it only when it is asked: the slowest that may be.
func (a *admin) Compact(ctx context.Context, via string, revision int64) error {
	return a.effect(ctx, via, "compact", func(e *etcd, p *peer) error {
		if revision > e.revision {
			return errors.New("etcdserver: mvcc: required revision is a future revision")
		}
		done := revision <= e.compacted
		if !done {
			e.compacted = revision
			e.index++
		}
		e.free(p)
		if done {
			return fmt.Errorf("etcdserver: mvcc: required revision has been compacted: %w", kvserver.ErrCompacted)
		}
		return nil
	})
}

func (a *admin) Compacted(ctx context.Context, via string) (n int64, err error) {
	return n, a.ask(ctx, via, false, func(e *etcd, _ *peer) error { n = e.compacted; return nil })
}

// Defragment sees that nobody else is away meanwhile, and that who leads does not do it while another one can lead.
func (a *admin) Defragment(ctx context.Context, name string) error {
	var done func(context.Context, string) error
	machine := ""
	err := a.effect(ctx, name, "defragment", func(e *etcd, p *peer) error {
		machine, done = p.machine.Name(), e.defragging
		if e.healthy() < len(e.voters()) {
			e.violations[machine+" was defragmented while another voter was away"] = true
		}
		if e.leader == machine && len(e.voters()) > 1 {
			e.violations[machine+" was defragmented while it led"] = true
		}
		if done == nil {
			p.most, p.untold = p.more, 0
			e.defrags = append(e.defrags, machine)
		}
		return nil
	})
	if err == nil && done != nil {
		return done(ctx, machine)
	}
	return err
}

func (a *admin) Alarms(ctx context.Context, via string) (out []kvserver.Alarm, err error) {
	return out, a.ask(ctx, via, false, func(e *etcd, _ *peer) error {
		if !e.quorum() {
			return noLeader()
		}
		out = slices.Clone(e.inherited)
		for _, p := range e.peers {
			for _, kind := range p.alarms {
				out = append(out, kvserver.Alarm{Member: p.id, Kind: kind})
			}
		}
		return nil
	})
}

func (a *admin) Disarm(ctx context.Context, via string, alarm kvserver.Alarm) error {
	return a.effect(ctx, via, "disarm", func(e *etcd, _ *peer) error {
		if alarm.Kind != kvserver.AlarmNoSpace && alarm.Kind != kvserver.AlarmCorrupt {
			return errors.New("no such alarm")
		}
		e.inherited = slices.DeleteFunc(e.inherited, func(a kvserver.Alarm) bool { return a == alarm })
		for _, p := range e.peers {
			if p.id == alarm.Member {
				p.alarms = slices.DeleteFunc(p.alarms, func(kind string) bool { return kind == alarm.Kind })
			}
		}
		return nil
	})
}

func (a *admin) TryWrite(ctx context.Context, via string) error {
	return a.effect(ctx, via, "write a lease", func(e *etcd, p *peer) error { return e.refuses(p, 64) })
}

// write puts a value of that many bytes in the place of the key's.
func (a *admin) write(ctx context.Context, via string, n int64) error {
	return a.effect(ctx, via, "put", func(e *etcd, p *peer) error {
		if err := e.refuses(p, n); err != nil {
			return err
		}
		e.revision++
		e.index++
		if e.live > 0 {
			e.history = append(e.history, superseded{e.revision, e.live})
		}
		e.live = n
		for _, p := range e.peers {
			p.grow(n)
		}
		return nil
	})
}

// remove deletes the key.
func (a *admin) remove(ctx context.Context, via string) error {
	return a.effect(ctx, via, "delete", func(e *etcd, _ *peer) error {
		e.revision++
		e.index++
		e.history = append(e.history, superseded{e.revision, e.live})
		e.live = 0
		return nil
	})
}
