package plan

import (
	"fmt"
	"slices"
	"strings"

	"quorate/kvserver"
)

// Ref is how a step names a member of the cluster: by its id where it has one, by its peer URLs where it is
// born in the plan. So do the members of a list that a step expects.
type Ref struct {
	// Name for people; etcd allows two members of one name, so nobody is found by it.
	Name string `json:"name"`
	// ID in hex; "" for a member that has none before the plan is carried out.
	ID       string   `json:"id,omitempty"`
	PeerURLs []string `json:"peer_urls"` // sorted
	Learner  bool     `json:"learner,omitempty"`
}

// Is reports whether a listed member is the one that is meant, whatever else is said of it.
func (r Ref) Is(m kvserver.Member) bool {
	if r.ID != "" {
		return r.ID == kvserver.ID(m.ID)
	}
	return sameURLs(r.PeerURLs, m.PeerURLs)
}

// Describes reports whether a listed member is the one that is meant and as it is said to be: peer URLs, voter or learner.
func (r Ref) Describes(m kvserver.Member) bool {
	return r.Is(m) && r.Learner == m.Learner && sameURLs(r.PeerURLs, m.PeerURLs)
}

// In finds the member that is meant.
func (r Ref) In(list []kvserver.Member) (kvserver.Member, bool) {
	if i := slices.IndexFunc(list, r.Is); i >= 0 {
		return list[i], true
	}
	return kvserver.Member{}, false
}

func (r Ref) String() string {
	if r.ID == "" {
		return r.Name
	}
	return fmt.Sprintf("%s (%s)", r.Name, r.ID)
}

// Lists reports whether a list has exactly the members that are expected, each as it is said to be.
// Their order, and the order of their URLs, say nothing.
func Lists(list []kvserver.Member, expected []Ref) bool {
	if len(list) != len(expected) {
		return false
	}
	for _, r := range expected {
		if !slices.ContainsFunc(list, r.Describes) {
			return false
		}
	}
	return true
}

// canonicalURLs are peer URLs as they are compared: sorted, without a final slash. etcd takes one from
// `member update`, which checks nothing (etcdserver/api/v3rpc/member.go).
func canonicalURLs(urls []string) []string {
	out := texts(urls, func(u string) string { return strings.TrimRight(u, "/") })
	slices.Sort(out)
	return slices.Compact(out)
}

func sameURLs(a, b []string) bool { return slices.Equal(canonicalURLs(a), canonicalURLs(b)) }
