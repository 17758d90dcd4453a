package plan

import "time"

// KindAdd lists a new member.
const KindAdd Kind = "add"

// Add has the cluster list a member that is to join, as a learner: it counts for no quorum until it is
// promoted, so one that never comes up costs nothing. Holds afterwards: it is listed under its peer URLs.
type Add struct {
	// Target has no id yet.
	Target Ref `json:"target"`
	// Expect is the whole member list that the plan was made for.
	Expect []Ref `json:"expect"`
	// Needs is how many of the voters etcd wants connected for it, see [kvserver.VotersToAdd].
	Needs int `json:"needs"`
	// Wait bounds how long etcd's refusal is waited out, see [changeWait].
	Wait time.Duration `json:"wait"`
}

// changeWait bounds how long a refusal of etcd's is waited out that passes by itself: it wants voters to have
// been connected for [kvserver.HealthInterval], five seconds, which they are not right after a start or a change of members.
const changeWait = 10 * time.Second

// Kind of the step.
func (*Add) Kind() Kind { return KindAdd }

// Phase of the step.
func (*Add) Phase() Phase { return PhaseMembers }

// Exclusive: the members change.
func (*Add) Exclusive() bool { return true }

// Hosts are none beside the newcomer's.
func (*Add) Hosts() []string { return nil }

// Effect adds a learner that is not up yet.
func (a *Add) Effect(member string, now Membership) (during, after Membership, err error) {
	after, err = now.Add(Listed{Spec: member, PeerURLs: a.Target.PeerURLs, Health: Down}, a.Needs)
	return now, after, err
}

// Describe names what is listed.
func (a *Add) Describe() Description {
	return Description{Sign: New, Items: urlItems(a.Target.PeerURLs, New, "listed as a learner")}
}

func urlItems(urls []string, sign Sign, problem string) []Item {
	var out []Item
	for _, u := range urls {
		out = append(out, Item{Path: u, Sign: sign, Problem: problem})
	}
	return out
}
