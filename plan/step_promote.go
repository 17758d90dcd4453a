package plan

import "time"

// KindPromote makes a learner a voter.
const KindPromote Kind = "promote"

// Promote waits until a learner has caught up, and makes it a voter. Caught up is more than etcd asks for
// (nine tenths of the leader's index, which at index ten million is a million behind): its applied index has
// reached what the leader had committed before, twice in a row within a second. Holds afterwards: it is
// listed as a voter, and answers a linearizable read.
type Promote struct {
	Target Ref   `json:"target"`
	Expect []Ref `json:"expect"`
	// Idle bounds how long it may stand still; as long as it comes nearer it is waited for.
	Idle time.Duration `json:"idle"`
}

// learnerIdle is how long a learner may stand still before it counts as hanging. A snapshot that it receives
// moves no index until it is there: bytes that arrive in its data directory are progress too.
const learnerIdle = time.Minute

// Kind of the step.
func (*Promote) Kind() Kind { return KindPromote }

// Phase of the step.
func (*Promote) Phase() Phase { return PhaseMembers }

// Exclusive: the members change.
func (*Promote) Exclusive() bool { return true }

// Hosts are none beside the member's.
func (*Promote) Hosts() []string { return nil }

// Effect makes the member a voter.
func (a *Promote) Effect(_ string, now Membership) (during, after Membership, err error) {
	after, err = now.Promote(a.Target)
	return now, after, err
}

// Describe has nothing to add to the title.
func (*Promote) Describe() Description { return Description{Sign: New} }
