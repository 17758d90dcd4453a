package provision

import (
	"context"
	"errors"
	"maps"
	"slices"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/plan/spec"
)

// outsider is a member that the spec does not have.
type outsider struct {
	address string // of its client port, as its peers know it; "" for one that is not asked
	via     string // whose host it is asked from: its own, or another member's, which its firewall lets in as a peer
}

// adopt has the session know the host of a member that the spec does not have, by that member's name, until the session ends.
func (s *Session) adopt(m *spec.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.hosts[m.Name]; !known {
		s.layout[m.Name] = plan.LayoutOf(s.cluster, m)
		s.hosts[m.Name] = &connection{member: m, ready: make(chan struct{})}
	}
}

// askVia has a member that the spec does not have asked at an address, from that host.
func (s *Session) askVia(member string, o outsider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outside[member] != o {
		s.outside[member] = o
		_ = s.closeAdmin() // it does not know this one
	}
}

// askedThrough is the host through which a member is asked: its own, or another one's for who is outside the spec.
func (s *Session) askedThrough(member string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, outside := s.outside[member]; outside {
		return o.via
	}
	return member
}

// everyone are the members that can be asked: the spec's, in its order, and then those outside of it.
func (s *Session) everyone() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, m := range s.cluster.Members {
		out = append(out, m.Name)
	}
	return append(out, slices.Sorted(maps.Keys(s.outside))...)
}

// meetOutsiders looks at the members that somebody lists and that are nobody of the spec's, and at the hosts of those
// that were expelled while their hosts could not be reached. A run that has the cluster's lock takes theirs too. A member
// is asked through its own host, where that lets us in, else through the host of a member that answered.
func (s *Session) meetOutsiders(ctx context.Context, o *plan.Observed) error {
	census := plan.TakeCensus(s.cluster, o)
	var met []outsiderSeen
	for _, l := range census.Membership.Members() {
		if l.Spec != "" || l.ID == 0 {
			continue
		}
		if m := plan.Outsider(s.cluster, l); m != nil {
			met = append(met, outsiderSeen{stranger: plan.Stranger{Member: m}, listed: l})
		}
	}
	for _, r := range plan.Leavings(o, census) {
		if m := plan.LeftOver(s.cluster, r); m != nil && !plan.Occupied(s.cluster, m) {
			met = append(met, outsiderSeen{stranger: plan.Stranger{Member: m}, left: r.ID})
		}
	}
	if len(met) == 0 {
		return nil
	}
	errs := make([]error, len(met))
	for _, m := range met {
		s.adopt(m.stranger.Member)
	}
	parallel(len(met), func(i int) {
		m := met[i].stranger.Member
		if plan.Occupied(s.cluster, m) {
			return // it is looked at already
		}
		if errs[i] = s.lockOutsider(ctx, m); errs[i] == nil {
			met[i].stranger.Host = s.look(ctx, m, o.CA)
		}
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := s.askOutsiders(ctx, o, met); err != nil {
		return err
	}
	o.Cluster.Strangers, o.Left = map[uint64]plan.Stranger{}, map[string]plan.Stranger{}
	for _, m := range met {
		if m.left != "" {
			o.Left[m.left] = m.stranger
		} else {
			o.Cluster.Strangers[m.listed.ID] = m.stranger
		}
	}
	return ctx.Err()
}

// outsiderSeen is one of them under way: listed by the cluster, or left behind on its host (its id).
type outsiderSeen struct {
	stranger plan.Stranger
	listed   plan.Listed
	left     string
}

// askOutsiders asks those that have said where they serve.
func (s *Session) askOutsiders(ctx context.Context, o *plan.Observed, met []outsiderSeen) error {
	through := ""
	for _, m := range s.cluster.Members {
		if through == "" && o.Cluster.Answers[m.Name].Members != nil {
			through = m.Name
		}
	}
	for _, m := range met {
		via := through
		if h := m.stranger.Host; h != nil && h.Problem == "" {
			via = m.stranger.Member.Name
		}
		if host, port := node.HostPortOf(m.listed.ClientURLs); port != 0 && via != "" {
			s.askVia(m.stranger.Member.Name, outsider{address: node.HostPort(host, port), via: via})
		}
	}
	admin, err := s.Admin(ctx)
	if err != nil {
		return err
	}
	parallel(len(met), func(i int) {
		m := &met[i]
		s.mu.Lock()
		way, asked := s.outside[m.stranger.Member.Name]
		s.mu.Unlock()
		if !asked {
			return
		}
		m.stranger.Answer = askThrough(ctx, admin, m.stranger.Member.Name)
		// Seen from another host, a port that is closed to clients looks as a member does that is dead. One that its peers can
		// reach is not.
		if a := m.stranger.Answer; way.via == through && a.Status == nil && (a.Asked == plan.Dead || a.Asked == plan.TimedOut) && s.listens(ctx, through, m.listed.PeerURLs) {
			m.stranger.Answer = plan.Answer{Problem: "something listens where its peers reach it, and it could not be asked: " + a.Problem}
		}
	})
	return nil
}

// listens reports whether a connection can be made from a member's host to a peer's URL.
func (s *Session) listens(ctx context.Context, from string, urls []string) bool {
	host, port := node.HostPortOf(urls)
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	conn, err := s.Dial(ctx, from, "tcp", node.HostPort(host, port))
	if err != nil {
		return false
	}
	_ = conn.Close() // it was there
	return true
}

// lockOutsider takes the lock of a host outside the spec, if this session takes locks. Held by
// another run it is an error; a host that cannot be reached is passed over, as everywhere.
func (s *Session) lockOutsider(ctx context.Context, m *spec.Member) error {
	s.mu.Lock()
	verb, locking := s.verb, len(s.locks) > 0 && s.locks[m.Name] == nil
	s.mu.Unlock()
	if !locking {
		return nil
	}
	return s.lock(ctx, m, verb, othersWait)
}

// answers are what the members that can be asked say of themselves, by name, and the list that a quorum gives.
type answers struct {
	status map[string]kvserver.Status // of those that have a leader
	list   []kvserver.Member          // by a linearizable read
	via    string                     // who gave it: the leader, if it was to be asked
	err    error                      // what the others said
}

// voters are the members listed as voters that answered, under the names by which they are asked.
func (a answers) voters() map[string]kvserver.Status {
	out := map[string]kvserver.Status{}
	for name, st := range a.status {
		i := slices.IndexFunc(a.list, func(m kvserver.Member) bool { return m.ID == st.MemberID })
		if i >= 0 && !a.list[i].Learner && !st.Learner {
			out[name] = st
		}
	}
	return out
}

// named is who answers for a member id; "" for nobody.
func (a answers) named(id uint64) string {
	for _, name := range slices.Sorted(maps.Keys(a.status)) {
		if a.status[name].MemberID == id {
			return name
		}
	}
	return ""
}
