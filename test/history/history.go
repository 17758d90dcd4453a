// Package history records what clients of a key-value store saw, and judges
// whether that can be explained by one register per key that changes at one
// instant within each operation: linearizability. The search is porcupine's.
//
// It is for tests. It talks to no store: who records calls it around each operation.
package history

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Kind is what a client asks for.
type Kind string

// The kinds.
const (
	Put Kind = "put" // write Value
	Get Kind = "get" // read
	// CAS writes Value if the register holds Expected, else it reads: a
	// compare-and-swap that fails tells what it found.
	CAS Kind = "cas"
)

// Outcome is what the client knows afterwards.
type Outcome string

// The outcomes.
const (
	// Done: acknowledged. A Put or CAS has written, a Get has read Seen.
	Done Outcome = "done"
	// Failed is a CAS that was acknowledged and did not write; it found Seen.
	Failed Outcome = "failed"
	// Unknown: it timed out, or the answer was an error. A write may have taken
	// effect, may yet do so at any later time, or never.
	Unknown Outcome = "unknown"
)

// Operation is one operation of one client.
type Operation struct {
	Client int
	Key    string
	Kind   Kind
	// Value is what a Put or CAS writes. No two operations on a key write the same one, and none
	// writes "", which is what a key without a value holds.
	Value string
	// Expected is what a CAS compares with.
	Expected string

	Outcome Outcome
	// Seen is what a Get or a failed CAS found.
	Seen string
	// Call and Return are the times since the history began between which it took effect. The Return of
	// an unknown one is when its client gave up.
	Call, Return time.Duration
}

// String is the operation on one line, for people.
func (o Operation) String() string {
	what := string(o.Kind)
	switch o.Kind {
	case Put:
		what += fmt.Sprintf(" %q", o.Value)
	case CAS:
		what += fmt.Sprintf(" %q → %q", o.Expected, o.Value)
	}
	result := string(o.Outcome)
	if o.Outcome == Failed || o.Kind == Get && o.Outcome == Done {
		result += fmt.Sprintf(", found %q", o.Seen)
	}
	return fmt.Sprintf("%.6f–%.6f client %d %s: %s", o.Call.Seconds(), o.Return.Seconds(), o.Client, what, result)
}

// Recorder collects the operations of clients that run at the same time.
type Recorder struct {
	// Began is what the times of its operations count from.
	Began time.Time
	mu    sync.Mutex
	ops   []Operation
}

// NewRecorder begins a history.
func NewRecorder() *Recorder { return &Recorder{Began: time.Now()} }

// Do makes one operation and records it. The operation comes without times and
// outcome; do gives the outcome and what was seen, and must send the request at most once.
func (r *Recorder) Do(op Operation, do func() (Outcome, string)) {
	op.Call = time.Since(r.Began)
	op.Outcome, op.Seen = do()
	op.Return = time.Since(r.Began)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}

// Operations are those that have ended, in the order of their end.
func (r *Recorder) Operations() []Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

// Count is how many operations have ended with one of the outcomes.
func (r *Recorder) Count(outcomes ...Outcome) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, op := range r.ops {
		if slices.Contains(outcomes, op.Outcome) {
			n++
		}
	}
	return n
}
