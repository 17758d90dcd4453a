package provision

import (
	"context"
	"errors"
	"fmt"
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
	// Events, if set, is told what happens, one event after another.
	Events func(Event)
}

// Apply executes a plan exactly: each step once the steps it needs are done,
// steps of different hosts side by side, at most one that touches the quorum
// in flight. A step whose postcondition holds already is skipped. After a
// failure nothing new is begun; what is in flight finishes; the rest is
// reported as not reached. When ctx ends (Ctrl-C) the steps in flight are
// abandoned where they stand: each is safe to be cut, and applying again goes on.
//
// The caller holds the lock and has checked that the world is the plan's.
func (s *Session) Apply(ctx context.Context, p *plan.Plan, o RunOptions) (*Report, error) {
	r := &run{session: s, plan: p, opt: o, begun: s.world.Clock()}
	if err := r.openJournal(); err != nil {
		return nil, err
	}
	defer r.closeJournal()
	s.listen(r)
	defer s.listen(nil)
	return r.execute(ctx)
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

	mu     sync.Mutex                 // orders events
	status map[string]kvserver.Status // of members, as this run has seen them
}

// outcome is what a step's executor says when it worked.
type outcome struct {
	changed bool   // false: the postcondition held already
	detail  string // for people
}

// execute is the scheduler: begins what is ready until nothing is left.
func (r *run) execute(ctx context.Context) (*Report, error) {
	r.tell(Event{Type: RunStarted, Title: fmt.Sprintf("%s %s: %d steps", r.plan.Verb, r.plan.Cluster, len(r.plan.Steps))})
	type finished struct {
		i   int
		rep StepReport
		err error
	}
	reports := make([]StepReport, len(r.plan.Steps))
	state := make(map[string]Result, len(r.plan.Steps))
	done := make(chan finished)
	begun := make([]bool, len(r.plan.Steps))
	var flying, touching int
	var errs []error
	for {
		for i, st := range r.plan.Steps {
			quorum := touchesQuorum(st)
			if begun[i] || len(errs) > 0 || ctx.Err() != nil || !ready(st, state) ||
				r.opt.Parallelism > 0 && flying >= r.opt.Parallelism || quorum && touching > 0 {
				continue
			}
			begun[i] = true
			flying++
			if quorum {
				touching++
			}
			go func() {
				rep, err := r.step(ctx, st)
				done <- finished{i, rep, err}
			}()
		}
		if flying == 0 {
			break
		}
		f := <-done
		flying--
		if touchesQuorum(r.plan.Steps[f.i]) {
			touching--
		}
		reports[f.i] = f.rep
		state[f.rep.ID] = f.rep.Result
		if f.err != nil {
			errs = append(errs, fmt.Errorf("cannot %s: %w", f.rep.Title, f.err))
		}
	}
	rep := &Report{Run: r.opt.ID, Cluster: r.plan.Cluster, Verb: r.plan.Verb, Counts: map[Result]int{}, Journal: r.journal.path()}
	for i, st := range r.plan.Steps {
		if !begun[i] {
			reports[i] = StepReport{ID: st.ID, Title: st.Title, Result: Unreached}
			r.tell(Event{Type: NotReached, Step: st.ID, Title: st.Title, Member: st.Member})
		}
		rep.Counts[reports[i].Result]++
	}
	rep.Steps = reports
	rep.Seconds = r.session.world.Clock().Sub(r.begun).Seconds()
	err := errors.Join(errs...)
	if ctx.Err() != nil && (err != nil || rep.Counts[Unreached] > 0) {
		err = &InterruptedError{Cause: context.Cause(ctx), Left: rep.Counts[Unreached] + rep.Counts[Incomplete]}
	}
	r.tell(Event{Type: RunFinished, Seconds: rep.Seconds, Error: text(err)})
	return rep, err
}

// InterruptedError says that a run was stopped from outside.
type InterruptedError struct {
	Cause error
	Left  int // steps that were not finished
}

func (e *InterruptedError) Error() string {
	return fmt.Sprintf("interrupted with %d steps left; nothing is lost: apply again to go on", e.Left)
}

func (e *InterruptedError) Unwrap() error { return e.Cause }

// ready: all needs are done.
func ready(s plan.Step, state map[string]Result) bool {
	for _, n := range s.Needs {
		if r := state[n]; r != Changed && r != Unchanged {
			return false
		}
	}
	return true
}

// touchesQuorum: the voters differ before, during or after the step.
func touchesQuorum(s plan.Step) bool {
	return s.Quorum.Before != s.Quorum.During || s.Quorum.During != s.Quorum.After
}

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
	case out.changed:
		rep.Result, e.Type = Changed, StepDone
	}
	rep.Seconds = r.session.world.Clock().Sub(start).Seconds()
	e.Seconds, e.Detail, e.Error = rep.Seconds, out.detail, rep.Error
	r.tell(e)
	return rep, err
}

// do hands the step to the executor of its kind. Every executor looks whether
// the postcondition holds, acts if not, and returns only once it does hold or
// its deadline has passed.
func (r *run) do(ctx context.Context, s plan.Step) (outcome, error) {
	switch a := s.Action.(type) {
	case *plan.CreateCA:
		return r.createCA(a)
	case *plan.Push:
		return r.push(ctx, s, a)
	case *plan.Files:
		return r.files(ctx, s, a)
	case *plan.Certificates:
		return r.certificates(ctx, s, a)
	case *plan.IssueClient:
		return r.issueClient(a)
	case *plan.Start:
		return r.start(ctx, a)
	case *plan.Restart:
		return r.restart(ctx, s, a)
	case *plan.Record:
		return r.record(ctx, s, a)
	case *plan.Stop:
		return r.stop(ctx, a)
	case *plan.Remove:
		return r.remove(ctx, s, a)
	case *plan.Forget:
		return r.forget(a)
	}
	return outcome{}, fmt.Errorf("step %q is of a kind this version cannot execute: %s", s.ID, s.Kind)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
