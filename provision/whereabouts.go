package provision

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/templates"
)

// follow asks members that run and did not answer where the spec wants them
// where they serve now: as their configuration on the host says, or as the
// other members list them. A changed port or address is no dead member.
func (s *Session) follow(ctx context.Context, o *plan.Observed) error {
	var again []*spec.Member
	for _, m := range s.cluster.Members {
		h, a := o.Hosts[m.Name], o.Cluster.Answers[m.Name]
		if h.Problem != "" || h.Unit.Active != "active" || a.Asked != plan.Dead && a.Asked != plan.TimedOut {
			continue
		}
		l := s.layout[m.Name]
		candidates := append(templates.ClientAddresses(h.Files[l.EtcdYAML].Content), listedAt(o, m)...)
		for _, c := range candidates {
			if c != wanted(m) {
				s.relocate(m.Name, c)
				again = append(again, m)
				break
			}
		}
	}
	if len(again) == 0 {
		return nil
	}
	admin, err := s.Admin(ctx)
	if err != nil {
		return err
	}
	answers := make([]plan.Answer, len(again))
	parallel(len(again), func(i int) { answers[i] = s.ask(ctx, admin, again[i].Name) })
	for i, m := range again {
		if answers[i].Status == nil {
			s.relocate(m.Name, "")
			continue
		}
		o.Cluster.Answers[m.Name] = answers[i]
		o.Hosts[m.Name].Serves = s.moved[m.Name]
	}
	return ctx.Err()
}

// listedAt are the client addresses under which the members that answered list one that is the spec's m.
func listedAt(o *plan.Observed, m *spec.Member) []string {
	var out []string
	for _, a := range o.Cluster.Answers {
		for _, in := range a.Members {
			if in.Name == m.Name || slices.Contains(in.PeerURLs, node.URL("https", m.Address, m.PeerPort)) {
				out = append(out, hostPorts(in.ClientURLs)...)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func hostPorts(urls []string) []string {
	var out []string
	for _, raw := range urls {
		if u, err := url.Parse(raw); err == nil && u.Port() != "" {
			out = append(out, u.Host)
		}
	}
	return out
}

// askStrangers asks members that somebody lists and that are nobody of the
// spec, through the host of a member that answered: their firewall lets their peers in.
func (s *Session) askStrangers(ctx context.Context, o *plan.Observed) {
	census := plan.TakeCensus(s.cluster, o)
	via := ""
	listed := map[uint64]kvserver.Member{}
	for _, m := range s.cluster.Members {
		if a := o.Cluster.Answers[m.Name]; a.Members != nil {
			via = m.Name
			for _, in := range a.Members {
				listed[in.ID] = in
			}
		}
	}
	var ends []Endpoint
	var ids []uint64
	for _, l := range census.Membership.Members() {
		if l.Spec != "" || l.ID == 0 {
			continue
		}
		if at := hostPorts(listed[l.ID].ClientURLs); len(at) > 0 {
			ends, ids = append(ends, Endpoint{Name: fmt.Sprintf("%x", l.ID), Address: at[0]}), append(ids, l.ID)
		}
	}
	if len(ends) == 0 || via == "" {
		return
	}
	s.mu.Lock()
	t, err := s.credentials(ctx)
	s.mu.Unlock()
	if err != nil || t == nil {
		return // a host lends its certificate for its own member only: they stay not asked
	}
	admin := s.strangers(ends, t, via)
	defer admin.Close()
	o.Cluster.Strangers = map[uint64]plan.Stranger{}
	var mu sync.Mutex
	parallel(len(ends), func(i int) {
		a := askThrough(ctx, admin, ends[i].Name)
		mu.Lock()
		defer mu.Unlock()
		o.Cluster.Strangers[ids[i]] = plan.Stranger{Answer: a}
	})
}

func (s *Session) strangers(ends []Endpoint, t *tls.Config, via string) Admin {
	return s.world.Admin(ends, t, func(ctx context.Context, _, network, address string) (net.Conn, error) {
		return s.Dial(ctx, via, network, address)
	})
}
