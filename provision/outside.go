package provision

import (
	"context"
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
	via     string // the spec's member through whose host it is asked: its firewall lets its peers in
}

// adopt has the session know a member that the spec does not have, until it ends: its host by the member's
// name, and the member itself, if it has an address, through another member's host.
func (s *Session) adopt(m *spec.Member, o outsider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.hosts[m.Name]; !known {
		s.layout[m.Name] = plan.LayoutOf(s.cluster, m)
		s.hosts[m.Name] = &connection{member: m, ready: make(chan struct{})}
	}
	if o.address != "" && s.outside[m.Name] != o {
		s.outside[m.Name] = o
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
// that were expelled while their hosts could not be reached: their API through the host of a member that
// answered, their hosts as far as they let us in. A run that has the cluster's lock takes theirs too.
func (s *Session) meetOutsiders(ctx context.Context, o *plan.Observed) error {
	census := plan.TakeCensus(s.cluster, o)
	via := ""
	for _, m := range s.cluster.Members {
		if via == "" && o.Cluster.Answers[m.Name].Members != nil {
			via = m.Name
		}
	}
	var met []*spec.Member
	ids := map[string]uint64{}
	for _, l := range census.Membership.Members() {
		if l.Spec != "" || l.ID == 0 || via == "" {
			continue
		}
		m := plan.Outsider(s.cluster, l)
		if m == nil {
			continue
		}
		out := outsider{via: via}
		if host, port := node.HostPortOf(l.ClientURLs); port != 0 {
			out.address = node.HostPort(host, port)
		}
		s.adopt(m, out)
		met, ids[m.Name] = append(met, m), l.ID
	}
	left := map[string]string{}
	for _, r := range plan.Leavings(o, census) {
		if m := plan.LeftOver(s.cluster, r); m != nil {
			s.adopt(m, outsider{})
			met, left[m.Name] = append(met, m), r.ID
		}
	}
	if len(met) == 0 {
		return nil
	}
	admin, err := s.Admin(ctx)
	if err != nil {
		return err
	}
	seen := make([]plan.Stranger, len(met))
	errs := make([]error, len(met))
	parallel(len(met), func(i int) {
		m := met[i]
		var asking chan struct{}
		seen[i].Member = m
		if s.asks(m.Name) {
			asking = make(chan struct{})
			go func() {
				defer close(asking)
				seen[i].Answer = askThrough(ctx, admin, m.Name)
			}()
		}
		if errs[i] = s.lockOutsider(ctx, m); errs[i] == nil {
			seen[i].Host = s.look(ctx, m, o.CA)
		}
		if asking != nil {
			<-asking
		}
	})
	o.Cluster.Strangers, o.Left = map[uint64]plan.Stranger{}, map[string]plan.Stranger{}
	for i, m := range met {
		if errs[i] != nil {
			return errs[i]
		}
		if id, ok := ids[m.Name]; ok {
			o.Cluster.Strangers[id] = seen[i]
		} else {
			o.Left[left[m.Name]] = seen[i]
		}
	}
	s.meetConsumers(ctx, o)
	return ctx.Err()
}

// asks reports whether a member outside the spec has an address to be asked at.
func (s *Session) asks(member string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outside[member].address != ""
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
