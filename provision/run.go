package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision/host"
)

// RunOptions say how a plan is executed.
type RunOptions struct {
	// ID of the run: unique, sortable by time.
	ID string
	// Parallelism bounds how many steps are in flight; 0 is no bound.
	Parallelism int
	// Snapshot is what a restore is from, as it is sent; nil where nothing is.
	Snapshot host.Blob
	// Work is a folder on this side for what a recovery brings here meanwhile; the caller removes it.
	Work string
	// Events, if set, is told what happens, one event after another.
	Events func(Event)
}

// Apply executes a plan exactly: each step once the steps it needs are done,
// steps of different hosts side by side, at most one that touches the quorum
// in flight. A step whose postcondition holds already is skipped. After a
// failure nothing new is begun; what is in flight finishes; the rest is
// reported as not reached.
//
// Two contexts end a run early. When begin ends nothing new is begun and the
// steps in flight finish. When abort ends they are abandoned where they stand:
// each is safe to be cut, and applying again goes on. Calls on hosts run under
// abort alone. Apply returns when no step is in flight any more, so that a lock
// that is given back after it covers everything that the run still did.
//
// The caller holds the lock, on each host that the plan has steps for but those of dependents, and has checked that the world is the plan's.
func (s *Session) Apply(begin, abort context.Context, p *plan.Plan, o RunOptions) (*Report, error) {
	if err := s.LocksFor(p); err != nil {
		return nil, err
	}
	r := &run{
		session: s, plan: p, opt: o, begun: s.world.Clock(),
		status: map[string]kvserver.Status{}, fetched: map[string]string{}, keys: map[string]map[string]string{}, changed: map[string][]plan.Kind{},
	}
	if err := r.openJournal(); err != nil {
		return nil, err
	}
	defer r.closeJournal()
	s.listen(r)
	defer s.listen(nil)
	return r.execute(begin, abort)
}

// listen has the journal told of every host call.
func (s *Session) listen(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrap = nil
	if r != nil {
		s.wrap = func(member string, h host.Host) host.Host { return &journaled{Host: h, member: member, run: r} }
	}
}

// run is one execution in the making.
type run struct {
	session *Session
	plan    *plan.Plan
	opt     RunOptions
	begun   time.Time
	journal *journal

	mu       sync.Mutex                   // orders events
	status   map[string]kvserver.Status   // of members, as this run has seen them
	fetched  map[string]string            // by plan.FromArchive: digests of what this run got out of archives
	keys     map[string]map[string]string // digests of the keys that this run has installed certificates for, by member and path
	replayed *replayed                    // what this run has made of a disk
	changed  map[string][]plan.Kind       // by member: the kinds of the steps that changed something on its host, each once
}

// outcome is what a step's executor says when it worked.
type outcome struct {
	changed bool   // false: the postcondition held already
	detail  string // for people
	// left is what could not be done and holds nothing up: the steps after it are done, and the run ends with it. nil: nothing.
	left error
}

// execute is the scheduler: begins what is ready until nothing is left, or
// begin or abort has ended.
func (r *run) execute(begin, abort context.Context) (*Report, error) {
	r.tell(Event{
		Type: RunStarted, Title: fmt.Sprintf("%s %s: %d steps", r.plan.Verb, r.plan.Cluster, len(r.plan.Steps)),
		Verb: r.plan.Verb, By: r.session.world.Holder.Who, Steps: len(r.plan.Steps),
	})
	type finished struct {
		i   int
		rep StepReport
		err error
	}
	reports := make([]StepReport, len(r.plan.Steps))
	state := make(map[string]Result, len(r.plan.Steps))
	done := make(chan finished)
	begun := make([]bool, len(r.plan.Steps))
	var flying, alone int // alone: exclusive steps in flight, at most one
	var errs, left []error
	var verified chan verdict // made once the members are as they will stay
	for {
		for i, st := range r.plan.Steps {
			exclusive := st.Action.Exclusive()
			if begun[i] || len(errs) > 0 || begin.Err() != nil || abort.Err() != nil || !ready(st, state) ||
				r.opt.Parallelism > 0 && flying >= r.opt.Parallelism || exclusive && alone > 0 {
				continue
			}
			begun[i] = true
			flying++
			if exclusive {
				alone++
			}
			go func() {
				rep, err := r.step(abort, st)
				done <- finished{i, rep, err}
			}()
		}
		if verified == nil && r.serves() && len(errs) == 0 && begin.Err() == nil && r.settled(state) {
			verified = make(chan verdict, 1)
			go func() { verified <- r.verify(abort) }()
		}
		if flying == 0 {
			break
		}
		f := <-done
		flying--
		if r.plan.Steps[f.i].Action.Exclusive() {
			alone--
		}
		reports[f.i] = f.rep
		state[f.rep.ID] = f.rep.Result
		if f.rep.Result == Partly {
			left = append(left, fmt.Errorf("cannot %s: %w", f.rep.Title, f.err))
		} else if f.err != nil {
			errs = append(errs, fmt.Errorf("cannot %s: %w", f.rep.Title, f.err))
		}
	}
	rep := &Report{Run: r.opt.ID, Cluster: r.plan.Cluster, Verb: r.plan.Verb, Counts: map[Result]int{}, Journal: r.journal.path()}
	for i, st := range r.plan.Steps {
		if !begun[i] {
			reports[i] = StepReport{ID: st.ID, Title: st.Title, Result: Unreached}
			r.tell(Event{Type: NotReached, Step: st.ID, Title: st.Title, Member: st.Member, Result: Unreached})
		}
		rep.Counts[reports[i].Result]++
	}
	rep.Steps = reports
	if verified != nil {
		v := <-verified
		if len(errs) == 0 && begin.Err() == nil && abort.Err() == nil {
			rep.Voters, rep.Members, rep.Problem, rep.Consumers = v.voters, v.members, text(v.err), r.tells(reports)
			if v.err != nil {
				errs = append(errs, v.err)
			}
		}
	}
	rep.Seconds = r.session.world.Clock().Sub(r.begun).Seconds()
	err := errors.Join(append(errs, left...)...)
	if cause := cmp.Or(context.Cause(begin), context.Cause(abort)); cause != nil && (err != nil || rep.Counts[Unreached] > 0) {
		err = &InterruptedError{Cause: errors.Join(cause, err), Left: len(r.plan.Steps) - rep.Counts[Changed] - rep.Counts[Unchanged] - rep.Counts[Partly], Verb: r.plan.Verb}
	}
	r.tell(Event{Type: RunFinished, Ending: ending(err), Seconds: rep.Seconds, Error: text(err)})
	return rep, err
}

// serves: the cluster is to serve once all is done. After a destroy there is none, and who takes a restore back that was begun without a
// quorum has none again.
func (r *run) serves() bool {
	return r.plan.Verb != plan.Destroy && (!r.plan.Verb.Restores() || r.plan.After.Writable())
}

// settled: whatever touches a member is done, and what is left only notes down what has become true.
func (r *run) settled(state map[string]Result) bool {
	for _, s := range r.plan.Steps {
		if s.Action.Phase() != plan.PhaseRecord && !over(state[s.ID]) {
			return false
		}
	}
	return true
}

// ending is how a run ended that came to err.
func ending(err error) Ending {
	if _, ok := errors.AsType[*InterruptedError](err); ok {
		return RunInterrupted
	}
	if err != nil {
		return RunFailed
	}
	return RunDone
}

// InterruptedError says that a run was stopped from outside.
type InterruptedError struct {
	Cause error
	Left  int       // steps that were not finished
	Verb  plan.Verb // of the run
}

func (e *InterruptedError) Error() string {
	on := "run it again to go on"
	if e.Verb.Restores() {
		on = "quorate restore --resume finishes it, and quorate restore --undo brings the old data back"
	}
	return fmt.Sprintf("interrupted with %d steps left; nothing is lost: %s", e.Left, on)
}

func (e *InterruptedError) Unwrap() error { return e.Cause }

// ready: all needs are done.
func ready(s plan.Step, state map[string]Result) bool {
	for _, n := range s.Needs {
		if !over(state[n]) {
			return false
		}
	}
	return true
}

// over: what comes after a step with this result may begin.
func over(r Result) bool { return r == Changed || r == Unchanged || r == Partly }

// step executes one step and tells what came of it.
func (r *run) step(ctx context.Context, s plan.Step) (StepReport, error) {
	start := r.session.world.Clock()
	e := Event{Type: StepStarted, Step: s.ID, Title: s.Title, Member: s.Member}
	r.tell(e)
	out, err := r.do(ctx, s)
	rep := StepReport{ID: s.ID, Title: s.Title, Result: Unchanged, Detail: out.detail, Error: text(err)}
	e.Type = StepSkipped
	switch {
	case err != nil && ctx.Err() != nil:
		rep.Result, e.Type = Incomplete, StepFailed
	case err != nil:
		rep.Result, e.Type = Failed, StepFailed
	case out.left != nil:
		rep.Result, e.Type, rep.Error, err = Partly, StepFailed, out.left.Error(), out.left
	case out.changed:
		rep.Result, e.Type = Changed, StepDone
		r.touched(s)
	}
	rep.Seconds = r.session.world.Clock().Sub(start).Seconds()
	e.Seconds, e.Detail, e.Error, e.Result = rep.Seconds, out.detail, rep.Error, rep.Result
	r.tell(e)
	return rep, err
}

// touched notes that a step has changed something on the hosts that it works on.
func (r *run) touched(s plan.Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hosts := slices.Clone(s.Action.Hosts())
	if s.Member != "" && !slices.Contains(hosts, s.Member) {
		hosts = append(hosts, s.Member)
	}
	for _, h := range hosts {
		if !slices.Contains(r.changed[h], s.Kind) {
			r.changed[h] = append(r.changed[h], s.Kind)
		}
	}
}

// executor does the steps of one kind. It looks whether the postcondition
// holds, or asks for it in a call that does nothing where it does; acts if not;
// and returns only once it does hold or its deadline has passed.
type executor func(ctx context.Context, r *run, s plan.Step) (outcome, error)

// executors by kind; a test compares them with plan.Kinds.
var executors = map[plan.Kind]executor{
	plan.KindCA:          of((*run).createCA),
	plan.KindPush:        on((*run).push),
	plan.KindFiles:       on((*run).files),
	plan.KindCertificate: on((*run).certificates),
	plan.KindClient:      of((*run).issueClient),
	plan.KindEndpoints:   of((*run).endpoints),
	plan.KindInstall:     on((*run).install),
	plan.KindEncrypt:     of((*run).encryptCA),
	plan.KindFetch:       of((*run).fetch),
	plan.KindPeers:       of((*run).peers),
	plan.KindReach:       of((*run).reach),
	plan.KindAside:       on((*run).aside),
	plan.KindStart:       of((*run).start),
	plan.KindRelocate:    on((*run).relocate),
	plan.KindRestart:     of((*run).restart),
	plan.KindAdd:         of((*run).add),
	plan.KindPromote:     of((*run).promote),
	plan.KindExpel:       of((*run).expel),
	plan.KindUpdate:      of((*run).update),
	plan.KindRecord:      on((*run).record),
	plan.KindStop:        of((*run).stop),
	plan.KindRemove:      on((*run).remove),
	plan.KindRemember:    of((*run).remember),
	plan.KindUnrecord:    of((*run).unrecord),
	plan.KindForget:      of((*run).forget),
	plan.KindCompact:     of((*run).compact),
	plan.KindDefrag:      of((*run).defragment),
	plan.KindDisarm:      of((*run).disarm),
	plan.KindMark:        on((*run).mark),
	plan.KindStage:       on((*run).stage),
	plan.KindReplay:      on((*run).replay),
	plan.KindSwap:        on((*run).swap),
	plan.KindRevive:      of((*run).revive),
	plan.KindUnmark:      on((*run).unmark),

	plan.KindStopDependents:  of((*run).stopDependents),
	plan.KindStartDependents: of((*run).startDependents),
}

// of makes an executor out of a method that takes the payload of its kind.
func of[A plan.Action](f func(*run, context.Context, plan.Step, A) (outcome, error)) executor {
	return func(ctx context.Context, r *run, s plan.Step) (outcome, error) {
		a, ok := s.Action.(A)
		if !ok {
			return outcome{}, fmt.Errorf("step %q carries %T, which is not of the kind %s", s.ID, s.Action, s.Kind)
		}
		return f(r, ctx, s, a)
	}
}

// on is [of] for what works on the host of the step's member.
func on[A plan.Action](f func(*run, context.Context, host.Host, plan.Step, A) (outcome, error)) executor {
	return of(func(r *run, ctx context.Context, s plan.Step, a A) (outcome, error) {
		h, err := r.session.Host(ctx, s.Member)
		if err != nil {
			return outcome{}, err
		}
		return f(r, ctx, h, s, a)
	})
}

// do hands the step to the executor of its kind.
func (r *run) do(ctx context.Context, s plan.Step) (outcome, error) {
	f, ok := executors[s.Kind]
	if !ok {
		return outcome{}, fmt.Errorf("step %q is of a kind this version cannot execute: %s", s.ID, s.Kind)
	}
	return f(ctx, r, s)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
