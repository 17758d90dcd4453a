package provision

import (
	"time"

	"quorate/plan"
)

// Event is one thing that happened in a run: for the screen, for --json, for
// the journal. It holds no secret.
type Event struct {
	At   time.Time `json:"at"`
	Run  string    `json:"run"`
	Type EventType `json:"type"`
	// Step, Title and Member of the step it is about.
	Step   string `json:"step,omitempty"`
	Title  string `json:"title,omitempty"`
	Member string `json:"member,omitempty"`
	// Verb, By (user@machine) and Steps (how many its plan has) of a run that starts.
	Verb  plan.Verb `json:"verb,omitempty"`
	By    string    `json:"by,omitempty"`
	Steps int       `json:"steps,omitempty"`
	// Result of a step that has ended, or was not reached; Ending of a run that is over.
	Result Result `json:"result,omitempty"`
	Ending Ending `json:"ending,omitempty"`
	// Seconds the step, the call or the run took.
	Seconds float64 `json:"seconds,omitempty"`
	// Sent and Total bytes of a transfer (compressed).
	Sent  int64 `json:"sent,omitempty"`
	Total int64 `json:"total,omitempty"`
	// Call is a host call: its method and what it was about (a path, a unit, a program).
	Call string `json:"call,omitempty"`
	// Detail for people: what came of it.
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

// EventType says what happened.
type EventType string

// The events of a run, in the order in which they can come.
const (
	RunStarted  EventType = "run-started"
	StepStarted EventType = "step-started"
	Progress    EventType = "progress" // a transfer moves; not kept in the journal
	Waiting     EventType = "waiting"  // what a step waits for has changed: Detail says how it is
	HostCall    EventType = "call"     // a call on a host ended; only in the journal
	StepDone    EventType = "step-done"
	StepSkipped EventType = "step-skipped" // its postcondition held already
	StepFailed  EventType = "step-failed"
	NotReached  EventType = "not-reached" // a step that an earlier failure or an interrupt left out
	RunFinished EventType = "run-finished"
)

// Report is what came of a run.
type Report struct {
	Run     string         `json:"run"`
	Cluster string         `json:"cluster"`
	Verb    plan.Verb      `json:"verb"`
	Steps   []StepReport   `json:"steps"`
	Counts  map[Result]int `json:"counts"`
	Seconds float64        `json:"seconds"`
	// Voters and Members as they answered when every step was done; nil after a destroy and a run that failed.
	Voters  *plan.Voters   `json:"voters,omitempty"`
	Members []MemberReport `json:"members,omitempty"`
	// Consumers is what those who use the cluster have to know; nil where nothing of it has changed.
	Consumers *ConsumersReport `json:"consumers,omitempty"`
	// Problem says what is wrong although every step is done; "" if nothing is.
	Problem string `json:"problem,omitempty"`
	// Journal is the file with the whole story, "" if none was kept.
	Journal string `json:"journal,omitempty"`
}

// StepReport is what came of one step.
type StepReport struct {
	ID      string  `json:"id"`
	Title   string  `json:"title"`
	Result  Result  `json:"result"`
	Seconds float64 `json:"seconds"`
	Detail  string  `json:"detail,omitempty"`
	Error   string  `json:"error,omitempty"`
}

// Result of a step.
type Result string

// The results.
const (
	Changed    Result = "changed"
	Unchanged  Result = "unchanged" // held already
	Failed     Result = "failed"
	Partly     Result = "partly" // done as far as it could be: the run goes on, and has failed when it is over
	Unreached  Result = "not-reached"
	Incomplete Result = "interrupted" // begun, and abandoned at an interrupt
	// Of a step whose journal ends while it is under way: its run was killed, or is still at it.
	CutOff   Result = "cut-off"
	InFlight Result = "under-way"
)

// Ending is how a run ended.
type Ending string

// The endings. A run itself can only say the first three.
const (
	RunDone        Ending = "done"
	RunFailed      Ending = "failed"
	RunInterrupted Ending = "interrupted"
	RunCutOff      Ending = "cut-off"         // its journal has no end, and nobody writes it any more: killed, or the disk was full
	RunUnderWay    Ending = "under-way"       // its journal has no end yet
	RunUnreadable  Ending = "unreadable"      // its journal cannot be read
	RunRecorded    Ending = "recorded"        // no journal here; the hosts' manifests note it
	RunPartly      Ending = "partly-recorded" // no journal here; it was to be noted on hosts that do not note it
)

// Unfinished reports whether something of the run may be left.
func (e Ending) Unfinished() bool { return e != RunDone && e != RunRecorded }
