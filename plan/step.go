package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"quorate/pki"
)

// Step is one action as data.
type Step struct {
	// ID is unique in the plan and stable: kind and subject, "push etcd1".
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Member whose host the step runs on; empty for the operator's side and the whole cluster.
	Member string `json:"member,omitempty"`
	// Title is one line for people; Reasons why the step is there, beside the items of its description.
	Title   string   `json:"title"`
	Reasons []string `json:"reasons,omitempty"`
	// Needs are the IDs of the steps that must be done first; all of them stand before this one.
	Needs  []string `json:"needs,omitempty"`
	Quorum Effect   `json:"quorum"`
	Action Action   `json:"action"`
}

// Kind names a kind of step; provision has one file per kind under the same name.
type Kind string

// Action is the payload of a step, plain data that survives JSON, and what the
// rest must know of its kind. What a step needs follows from its phase, how the
// scheduler treats it from Exclusive, what people see from Describe; there is no
// other list of kinds but [Kinds], and provision's executors, which a test compares.
type Action interface {
	Kind() Kind
	// Phase orders the steps of one host, see [Phase].
	Phase() Phase
	// Exclusive steps touch membership or leadership, or take a voter away or
	// bring one back: at most one of them is in flight.
	Exclusive() bool
	// Effect is what the step, on that member's host, does to a membership: at
	// its worst moment and afterwards. An error says why it may not be done.
	Effect(member string, now Membership) (during, after Membership, err error)
	// Describe tells people what is done to what.
	Describe() Description
	// Hosts lists the members whose hosts the step works on beside Step.Member.
	Hosts() []string
}

// Phase orders the steps of one host: a step needs every step of an earlier
// phase on a host that it works on, and the operator's own preparations.
type Phase int

// The phases, in their order.
const (
	PhasePrepare Phase = iota // on the operator's side, for all: the CA
	PhaseStage                // binaries and files on a host; no process is touched
	PhaseSign                 // keys and certificates there; no process is touched
	PhaseStop                 // takes members out of service for good
	PhaseSwap                 // exchanges the data of members that are stopped
	PhaseStart                // brings members up that do not serve
	PhaseMembers              // changes who the members are: additions, joins, promotions, expulsions
	PhaseCompact              // drops history of the keys, on all members
	PhaseRoll                 // takes serving members away for a moment, one at a time
	PhaseDisarm               // ends an alarm, once its cause is gone
	PhaseTell                 // tells who uses the cluster, before somebody leaves it that serves
	PhaseRecord               // notes down what has become true
	PhaseReturn               // starts what was stopped with the members, once they serve
	PhaseRemove               // takes things off a host
	PhaseForget               // on the operator's side, once everything else is done
)

// Sign tells what a step does, in one character.
type Sign string

// The signs.
const (
	New     Sign = "+"
	Changed Sign = "~"
	Gone    Sign = "-"
)

// Description is a step for people, as data.
type Description struct {
	Sign  Sign
	Items []Item
	// Certificates that are issued.
	Certificates []Issued
}

// Issued is a certificate that a step issues.
type Issued struct {
	Holder   string // "": the step's member
	Profile  string
	Lifetime time.Duration // the CA's own end may come sooner
	SANs     []string
	Had      *pki.Certificate // what it replaces; nil: nothing
}

// Item is one thing that a step does something to.
type Item struct {
	// Path, or a name where it has none.
	Path string
	Sign Sign
	// Problem is what is wrong with it now; the same words for the same thing,
	// so that items can be put together. "" where Note says all.
	Problem string
	// Note is anything else in a few words: a size, a digest, where it goes.
	Note string
	// Diff from what lies there, unified.
	Diff string
}

// quiet is embedded by actions that touch no voter and work on Step.Member's host only.
type quiet struct{}

// Exclusive is false.
func (quiet) Exclusive() bool { return false }

// Effect is none.
func (quiet) Effect(_ string, now Membership) (during, after Membership, err error) {
	return now, now, nil
}

// Hosts are none beside the step's own.
func (quiet) Hosts() []string { return nil }

// kinds makes an empty payload of each kind, for decoding.
var kinds = map[Kind]func() Action{
	KindCA:          func() Action { return new(CreateCA) },
	KindPush:        func() Action { return new(Push) },
	KindFiles:       func() Action { return new(Files) },
	KindCertificate: func() Action { return new(Certificates) },
	KindEncrypt:     func() Action { return new(EncryptCA) },
	KindFetch:       func() Action { return new(Fetch) },
	KindPeers:       func() Action { return new(Peers) },
	KindReach:       func() Action { return new(Reach) },
	KindAside:       func() Action { return new(Aside) },
	KindStart:       func() Action { return new(Start) },
	KindRelocate:    func() Action { return new(Relocate) },
	KindRestart:     func() Action { return new(Restart) },
	KindAdd:         func() Action { return new(Add) },
	KindPromote:     func() Action { return new(Promote) },
	KindExpel:       func() Action { return new(Expel) },
	KindUpdate:      func() Action { return new(Update) },
	KindClient:      func() Action { return new(IssueClient) },
	KindEndpoints:   func() Action { return new(Endpoints) },
	KindInstall:     func() Action { return new(Install) },
	KindRecord:      func() Action { return new(Record) },
	KindStop:        func() Action { return new(Stop) },
	KindRemove:      func() Action { return new(Remove) },
	KindRemember:    func() Action { return new(Remember) },
	KindUnrecord:    func() Action { return new(Unrecord) },
	KindForget:      func() Action { return new(Forget) },
	KindCompact:     func() Action { return new(Compaction) },
	KindDefrag:      func() Action { return new(Defragment) },
	KindDisarm:      func() Action { return new(Disarm) },
	KindMark:        func() Action { return new(MarkRestore) },
	KindStage:       func() Action { return new(Stage) },
	KindReplay:      func() Action { return new(Replay) },
	KindSwap:        func() Action { return new(Swap) },
	KindRevive:      func() Action { return new(Revive) },

	KindStopDependents:  func() Action { return new(StopDependents) },
	KindStartDependents: func() Action { return new(StartDependents) },
	KindUnmark:          func() Action { return new(Unmark) },
}

// Kinds lists every kind of step.
func Kinds() []Kind { return slices.Sorted(maps.Keys(kinds)) }

// UnmarshalJSON decodes the payload by its kind; an unknown kind is an error.
func (s *Step) UnmarshalJSON(b []byte) error {
	type plain Step
	raw := struct {
		*plain
		Action json.RawMessage `json:"action"`
	}{plain: (*plain)(s)}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	make, ok := kinds[s.Kind]
	if !ok {
		return fmt.Errorf("step %q is of the unknown kind %q: the plan was made by another version of quorate", s.ID, s.Kind)
	}
	a := make()
	if err := json.Unmarshal(raw.Action, a); err != nil {
		return fmt.Errorf("step %q: %w", s.ID, err)
	}
	s.Action = a
	return nil
}
