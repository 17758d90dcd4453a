package hosttest

import (
	"cmp"
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

// Faults are the counters and switches of a [Machine], and of a [World] over all its machines. A call meets
// those of its machine first.
type Faults struct {
	mu        sync.Mutex
	calls     []Call
	cut       cutMode
	cutAt     int           // calls left until the cut
	refuse    error         // why no call comes through: ErrCut after a cut
	fail      map[int]error // by Seq
	intercept func(Call) error
	latency   time.Duration
	short     bool  // the next download is cut
	shortAt   int64 // after so many of its bytes
}

// verdict is what a call has to suffer.
type verdict struct {
	err     error // no effect, this error
	cut     cutMode
	latency time.Duration
	unreach error
}

func (f *Faults) enter(c Call) verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := verdict{latency: f.latency}
	if f.refuse != nil {
		v.unreach = f.refuse
		return v
	}
	c.Seq = len(f.calls) + 1
	f.calls = append(f.calls, c)
	if f.cut != cutNever {
		if f.cutAt == 0 {
			v.cut, f.refuse = f.cut, ErrCut
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

// CutAfter lets n more calls through. The next one cuts the connection: every
// session dies with its locks and tunnels, and no call succeeds until
// Heal. With replyLost the call that meets the cut takes effect and
// only its answer is lost; otherwise it has no effect.
func (f *Faults) CutAfter(n int, replyLost bool) {
	mode := cutBefore
	if replyLost {
		mode = cutReplied
	}
	f.arm(mode, n)
}

// CutMidwayAfter is CutAfter, except that the call that meets the cut does
// about half of what it was asked: some of the files, the reload and not the start.
func (f *Faults) CutMidwayAfter(n int) { f.arm(cutMidway, n) }

func (f *Faults) arm(mode cutMode, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut, f.cutAt = mode, n
}

// CutDownloadAfter lets calls through up to the next download, gives that one so many bytes, and then cuts the
// connection as CutAfter does. A download that has fewer ends as if there were no cut, which is still to come.
func (f *Faults) CutDownloadAfter(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.short, f.shortAt = true, bytes
}

// cutsDownload reports whether a download that has given so many bytes is cut now; then the connection is.
func (f *Faults) cutsDownload(given int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.short || given < f.shortAt {
		return false
	}
	f.short, f.refuse = false, ErrCut
	return true
}

// Cut reports whether a cut has happened since the last Heal.
func (f *Faults) Cut() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refuse == ErrCut
}

// Heal ends cuts, refusals and failures to come; sessions that died stay dead.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut, f.cutAt, f.refuse, f.intercept, f.fail, f.short = cutNever, 0, nil, nil, nil, false
}

// Fail makes the call with this number (from 1) fail with err, without effect.
func (f *Faults) Fail(seq int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		f.fail = map[int]error{}
	}
	f.fail[seq] = err
}

// Intercept has g asked before each call; its error is the call's, which then has no effect. nil ends it.
// g must not call the machine's session.
func (f *Faults) Intercept(g func(Call) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.intercept = g
}

// SetLatency makes every call take this long.
func (f *Faults) SetLatency(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency = d
}

// Calls lists the calls so far (those that reached a machine).
func (f *Faults) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Writes counts the calls so far that may have changed a machine.
func (f *Faults) Writes() (n int) {
	for _, c := range f.Calls() {
		if c.Writes {
			n++
		}
	}
	return n
}

// ResetCalls forgets the calls so far; numbers start from 1 again.
func (f *Faults) ResetCalls() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
}

// SetUnreachable refuses every call with this cause until Heal, and kills the sessions.
func (m *Machine) SetUnreachable(cause error) {
	m.Faults.mu.Lock()
	m.refuse = cmp.Or(cause, errors.New("no route to host"))
	m.Faults.mu.Unlock()
	m.dropSessions()
}

// World is a set of machines whose calls are counted, and cut, together: the
// operator's machine dying at the nth call of a run.
type World struct {
	Faults
	machines []*Machine
}

// NewWorld makes machines of these names.
func NewWorld(names ...string) *World {
	w := &World{}
	for _, name := range names {
		w.Add(NewMachine(name))
	}
	return w
}

// Add puts one more machine into the world.
func (w *World) Add(m *Machine) {
	m.world = &w.Faults
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

// Heal heals the world and each machine.
func (w *World) Heal() {
	w.Faults.Heal()
	for _, m := range w.machines {
		m.Heal()
		m.dropSessions()
	}
}

// ResetCalls forgets the calls so far, of the world and of each machine.
func (w *World) ResetCalls() {
	w.Faults.ResetCalls()
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
