package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Call is one call of a session, as the counters and [World.Intercept] see it.
type Call struct {
	Seq     int // 1 is the first; of the machine, or of the world
	Machine string
	Method  string // as in host.Host: "Look", "Lock", "Write", …, or "Connect"
	Writes  bool   // may change the machine
	Detail  string // what on: paths, unit and verb, argv; never content
}

func (c Call) String() string {
	return fmt.Sprintf("%d %s %s %s", c.Seq, c.Machine, c.Method, c.Detail)
}

// ErrCut is the cause in every error of a connection that was cut.
var ErrCut = fmt.Errorf("connection cut by the test: %w", io.ErrUnexpectedEOF)

type cutMode int

const (
	cutNever   cutMode = iota
	cutBefore          // the call after the last good one does nothing
	cutMidway          // it does about half of what it was asked
	cutReplied         // it does all, and the reply is lost
)

// faults are the counters and switches of a machine, or of a world.
type faults struct {
	mu        sync.Mutex
	calls     []Call
	cut       cutMode
	cutAt     int // calls left until the cut
	dead      bool
	refuse    error
	fail      map[int]error // by Seq
	intercept func(Call) error
	latency   time.Duration
}

func newFaults() *faults { return &faults{fail: map[int]error{}} }

// verdict is what a call has to suffer.
type verdict struct {
	err     error // no effect, this error
	cut     cutMode
	latency time.Duration
	unreach error
}

func (f *faults) enter(c Call) verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := verdict{latency: f.latency}
	if f.refuse != nil {
		v.unreach = f.refuse
		return v
	}
	if f.dead {
		v.unreach = ErrCut
		return v
	}
	c.Seq = len(f.calls) + 1
	f.calls = append(f.calls, c)
	if f.cut != cutNever {
		if f.cutAt == 0 {
			v.cut, f.dead = f.cut, true
			return v
		}
		f.cutAt--
	}
	v.err = f.fail[c.Seq]
	if v.err == nil && f.intercept != nil {
		v.err = f.intercept(c)
	}
	return v
}

func (f *faults) arm(mode cutMode, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut, f.cutAt = mode, n
}

// CutAfter lets n more calls through. The next one cuts the connection: every
// session dies with its locks and tunnels, and no call succeeds until
// [Machine.Heal]. With replyLost the call that meets the cut takes effect and
// only its answer is lost; otherwise it has no effect.
func (m *Machine) CutAfter(n int, replyLost bool) { m.faults.arm(mode(replyLost), n) }

// CutMidwayAfter is CutAfter, except that the call that meets the cut does
// about half of what it was asked: some of the files, the reload and not the start.
func (m *Machine) CutMidwayAfter(n int) { m.faults.arm(cutMidway, n) }

// Heal ends cuts, refusals and failures to come; sessions that died stay dead.
func (m *Machine) Heal() { m.faults.heal() }

// SetUnreachable refuses every call with this cause until [Machine.Heal], and kills the sessions.
func (m *Machine) SetUnreachable(cause error) {
	m.faults.setRefuse(cause)
	m.dropSessions()
}

// Fail makes the call with this number (from 1, of this machine's calls) fail with err, without effect.
func (m *Machine) Fail(seq int, err error) { m.faults.setFail(seq, err) }

// Intercept has f asked before each call; its error is the call's, which then has no effect. nil ends it.
// f must not call the machine's session.
func (m *Machine) Intercept(f func(Call) error) { m.faults.setIntercept(f) }

// SetLatency makes every call take this long.
func (m *Machine) SetLatency(d time.Duration) { m.faults.setLatency(d) }

// Calls lists the calls so far (those that reached the machine).
func (m *Machine) Calls() []Call { return m.faults.list() }

// Writes counts the calls so far that may have changed the machine.
func (m *Machine) Writes() int { return writes(m.Calls()) }

// ResetCalls forgets the calls so far; numbers start from 1 again.
func (m *Machine) ResetCalls() { m.faults.reset() }

// World is a set of machines whose calls are counted, and cut, together: the
// operator's machine dying at the nth call of a run.
type World struct {
	faults   *faults
	machines []*Machine
}

// NewWorld makes machines of these names.
func NewWorld(names ...string) *World {
	w := &World{faults: newFaults()}
	for _, name := range names {
		w.Add(NewMachine(name))
	}
	return w
}

// Add puts one more machine into the world.
func (w *World) Add(m *Machine) {
	m.world = w.faults
	w.machines = append(w.machines, m)
}

// Machines in the order they were added.
func (w *World) Machines() []*Machine { return slices.Clone(w.machines) }

// Machine of this name; panics if there is none.
func (w *World) Machine(name string) *Machine {
	for _, m := range w.machines {
		if m.name == name {
			return m
		}
	}
	panic("hosttest: no machine " + name)
}

// Dial opens a session on the machine of this name.
func (w *World) Dial(ctx context.Context, name string) (*Fake, error) {
	h, err := w.Machine(name).Dial(ctx)
	if err != nil {
		return nil, err
	}
	return h.(*Fake), nil
}

// CutAfter lets n more calls through, over all machines; then the operator's
// side is dead: see [Machine.CutAfter].
func (w *World) CutAfter(n int, replyLost bool) { w.faults.arm(mode(replyLost), n) }

// CutMidwayAfter is [Machine.CutMidwayAfter] over all machines.
func (w *World) CutMidwayAfter(n int) { w.faults.arm(cutMidway, n) }

// Heal heals the world and each machine.
func (w *World) Heal() {
	w.faults.heal()
	for _, m := range w.machines {
		m.Heal()
		m.dropSessions()
	}
}

// Cut reports whether a cut has happened since the last Heal.
func (w *World) Cut() bool {
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	return w.faults.dead
}

// Fail makes the world's call with this number fail with err, without effect.
func (w *World) Fail(seq int, err error) { w.faults.setFail(seq, err) }

// Intercept has f asked before each call on any machine.
func (w *World) Intercept(f func(Call) error) { w.faults.setIntercept(f) }

// SetLatency makes every call on any machine take this long.
func (w *World) SetLatency(d time.Duration) { w.faults.setLatency(d) }

// Calls lists the calls so far, over all machines.
func (w *World) Calls() []Call { return w.faults.list() }

// Writes counts the calls that may have changed a machine.
func (w *World) Writes() int { return writes(w.Calls()) }

// ResetCalls forgets the calls so far, of the world and of each machine.
func (w *World) ResetCalls() {
	w.faults.reset()
	for _, m := range w.machines {
		m.ResetCalls()
	}
}

// Dump is every machine's [Machine.Dump].
func (w *World) Dump() string {
	var s string
	for _, m := range w.machines {
		s += "machine " + m.name + "\n" + m.Dump()
	}
	return s
}

func mode(replyLost bool) cutMode {
	if replyLost {
		return cutReplied
	}
	return cutBefore
}

func writes(calls []Call) (n int) {
	for _, c := range calls {
		if c.Writes {
			n++
		}
	}
	return n
}

func (f *faults) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut, f.cutAt, f.dead, f.refuse, f.intercept, f.fail = cutNever, 0, false, nil, nil, map[int]error{}
}

func (f *faults) setRefuse(cause error) {
	if cause == nil {
		cause = errors.New("no route to host")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = cause
}

func (f *faults) setFail(seq int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail[seq] = err
}

func (f *faults) setIntercept(g func(Call) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.intercept = g
}

func (f *faults) setLatency(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency = d
}

func (f *faults) list() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *faults) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
}
