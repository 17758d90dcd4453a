package plan

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/plan/spec"
)

// Find is the member that an operator means by a word: the spec's name, the one that
// the cluster lists, an id in hex, or an address, with its peer port or without. A member of the spec that the
// cluster does not list has no ID. A word that fits several members, or none, is an error.
func (s Census) Find(c *spec.Cluster, word string) (Listed, error) {
	listed := s.Membership.Members()
	for _, m := range c.Members {
		if _, ok := s.Membership.Of(m.Name); !ok {
			listed = append(listed, Listed{Name: m.Name, Spec: m.Name, PeerURLs: []string{peerURL(m)}})
		}
	}
	for _, fits := range []func(Listed) bool{
		func(l Listed) bool { return l.Spec == word },
		func(l Listed) bool { return l.Name == word },
		func(l Listed) bool {
			return l.ID != 0 && kvserver.ID(l.ID) == strings.ToLower(strings.TrimPrefix(word, "0x"))
		},
		func(l Listed) bool {
			return slices.ContainsFunc(l.PeerURLs, func(u string) bool { return dials(u, word) })
		},
	} {
		found := slices.DeleteFunc(slices.Clone(listed), func(l Listed) bool { return word == "" || !fits(l) })
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			return Listed{}, fmt.Errorf("%q is more than one member of cluster %q: %s", word, c.Name, labels(found))
		}
	}
	return Listed{}, fmt.Errorf("cluster %q has no member %q; it has %s", c.Name, word, labels(listed))
}

// labels are the members' names and ids.
func labels(members []Listed) string {
	members = slices.SortedFunc(slices.Values(members), func(x, y Listed) int { return strings.Compare(x.Label(), y.Label()) })
	return strings.Join(texts(members, func(l Listed) string {
		if l.ID == 0 {
			return l.Label()
		}
		return fmt.Sprintf("%s (%s)", l.Label(), kvserver.ID(l.ID))
	}), ", ")
}

// dials reports whether a peer URL is of an address, with its port or without.
func dials(peer, address string) bool {
	u, err := url.Parse(peer)
	return err == nil && (strings.EqualFold(u.Host, address) || strings.EqualFold(u.Hostname(), strings.Trim(address, "[]")))
}

// Handover is leadership that goes from one member to another.
type Handover struct {
	From string // name in the spec; "" if nothing is to be done
	To   uint64
}

// HandOver decides how a member, as [Census.Find] gives it, comes to lead: only
// a voter that answers can. From is empty if it leads already.
func HandOver(c *spec.Cluster, o *Observed, to Listed) (Handover, error) {
	census := TakeCensus(c, o)
	switch {
	case !census.Known:
		return Handover{}, errors.New("no member could say who the members are")
	case to.ID == 0:
		return Handover{}, errors.New("the cluster does not list it as a member")
	case to.ID == census.Leader:
		return Handover{To: to.ID}, nil
	case to.Learner:
		return Handover{}, errors.New("it is a learner: it does not vote, so it cannot lead")
	case to.Health != Healthy:
		return Handover{}, fmt.Errorf("it does not answer%s", census.why(o, to))
	case census.Leader == 0:
		return Handover{}, errors.New("no member is known to lead")
	}
	for _, l := range census.Membership.Members() {
		if l.ID == census.Leader && l.Spec != "" {
			return Handover{From: l.Spec, To: to.ID}, nil
		}
	}
	return Handover{}, fmt.Errorf("the member %s leads, which the spec does not have", kvserver.ID(census.Leader))
}

// why a member does not answer, as the end of a sentence; "" if nobody knows.
func (s Census) why(o *Observed, l Listed) string {
	problem := o.Cluster.Strangers[l.ID].Answer.Problem
	if l.Spec != "" {
		problem = o.Cluster.Answers[l.Spec].Problem
	}
	if problem == "" {
		return ""
	}
	return ": " + problem
}
