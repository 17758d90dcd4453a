package provision

import (
	"context"
	"net/url"
	"slices"

	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/templates"
)

// follow asks members that run and did not answer where the spec wants them
// where they serve now: as their configuration on the host says, as the
// other members list them, or as was recorded on the host. A changed port or address is no dead member. One that answers with a
// certificate that does not have the new address is at another one too.
func (s *Session) follow(ctx context.Context, o *plan.Observed) error {
	var again []*spec.Member
	for _, m := range s.cluster.Members {
		h, a := o.Hosts[m.Name], o.Cluster.Answers[m.Name]
		if h.Problem != "" || h.Unit.Active != "active" || a.Asked != plan.Dead && a.Asked != plan.TimedOut && a.Asked != plan.Refused {
			continue
		}
		l := s.layout[m.Name]
		candidates := append(templates.ClientAddresses(h.Files[l.EtcdYAML].Content), listedAt(o, m)...)
		if h.Manifest != nil {
			candidates = append(candidates, hostPorts([]string{h.Manifest.ClientURL})...)
		}
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
