package plan

import "time"

// KindExpel takes a member out of the cluster.
const KindExpel Kind = "expel"

// Expel takes a member out of the cluster for ever: its id never comes back. If it leads, it hands over
// first, and it is never the one that is asked. Its host need not be there. Holds afterwards: it is not listed.
type Expel struct {
	Target Ref   `json:"target"`
	Expect []Ref `json:"expect"`
	// Answers: it is a voter that serves, or may serve: somebody has to say its name.
	Answers bool `json:"answers,omitempty"`
	// Consumers are the addresses that are connected with it and with no member that stays.
	Consumers []string `json:"consumers,omitempty"`
	// Wait bounds how long etcd's refusal is waited out, see [changeWait].
	Wait time.Duration `json:"wait"`
}

// Kind of the step.
func (*Expel) Kind() Kind { return KindExpel }

// Phase of the step.
func (*Expel) Phase() Phase { return PhaseMembers }

// Exclusive: the members change.
func (*Expel) Exclusive() bool { return true }

// Hosts are none: others are asked.
func (*Expel) Hosts() []string { return nil }

// Effect takes the member out of the list.
func (a *Expel) Effect(_ string, now Membership) (during, after Membership, err error) {
	after, err = now.Expel(a.Target)
	return after, after, err
}

// Describe names what is listed no longer.
func (a *Expel) Describe() Description {
	return Description{Sign: Gone, Items: append(urlItems(a.Target.PeerURLs, Gone, "listed no longer"), urlItems(a.Consumers, Gone, "connected with it, and with no member that stays")...)}
}
