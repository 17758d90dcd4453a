package view

import (
	"io"
	"strings"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

// MemberList is a cluster's members as it lists them, joined with the spec. It
// is also the JSON of `member list`: names there do not change their meaning.
type MemberList struct {
	Cluster string `json:"cluster"`
	// Known: the cluster's own list could be had. Otherwise the members are the spec's.
	Known   bool           `json:"known"`
	Members []ListedMember `json:"members"`
	// Healthy is what `status` says.
	Healthy bool `json:"healthy"`
}

// ListedMember is one of them.
type ListedMember struct {
	Name string `json:"name"`         // the spec's, else etcd's; "" if it has never started
	ID   string `json:"id,omitempty"` // hex; "" where the cluster does not list it
	// Health is healthy, down or unknown.
	Health string `json:"health"`
	// Role is leader, voter, learner, or "" where the cluster does not list it.
	Role     string   `json:"role,omitempty"`
	PeerURLs []string `json:"peer_urls,omitempty"`
	Started  bool     `json:"started"`
	InSpec   bool     `json:"in_spec"`
	Problem  string   `json:"problem,omitempty"`
}

// MembersOf puts an observation into words: the spec's members in its order, then the others by id.
func MembersOf(c *spec.Cluster, o *plan.Observed, s Status) MemberList {
	census := plan.TakeCensus(c, o)
	out := MemberList{Cluster: c.Name, Known: census.Known, Healthy: s.Healthy, Members: []ListedMember{}}
	add := func(l plan.Listed, listed bool, a plan.Answer) {
		m := ListedMember{Name: l.Name, Health: "unknown", PeerURLs: l.PeerURLs, Started: l.Started, InSpec: l.Spec != "", Problem: a.Problem}
		if l.Spec != "" {
			m.Name = l.Spec
		}
		if l.Health != plan.HealthUnknown {
			m.Health = string(l.Health)
		}
		switch {
		case !census.Known:
		case !listed:
			m.Problem = strings.TrimPrefix(m.Problem+"; the cluster does not list it as a member", "; ")
		case l.Learner:
			m.Role = "learner"
		case l.ID == census.Leader:
			m.Role = "leader"
		default:
			m.Role = "voter"
		}
		if listed && l.ID != 0 {
			m.ID = kvserver.ID(l.ID)
		}
		if listed && census.Known && l.Name == "" {
			m.Problem = strings.TrimPrefix(m.Problem+"; it has never started", "; ")
		}
		out.Members = append(out.Members, m)
	}
	for _, m := range c.Members {
		l, listed := census.Membership.Of(m.Name)
		if !listed {
			l = plan.Listed{Name: m.Name, Spec: m.Name}
		}
		add(l, listed, o.Cluster.Answers[m.Name])
	}
	for _, l := range census.Membership.Members() {
		if l.Spec == "" {
			add(l, true, o.Cluster.Strangers[l.ID].Answer)
		}
	}
	return out
}

// MembersText draws the list for people.
func MembersText(w io.Writer, m MemberList, o Options) error {
	d := &paper{w: w, o: o}
	title := "cluster " + m.Cluster
	if !m.Known {
		title += ": nobody could say who its members are; these are the spec's"
	}
	d.line("%s", d.paint(bold, title))
	var rows [][]string
	for _, x := range m.Members {
		in := "yes"
		if !x.InSpec {
			in = "no"
		}
		rows = append(rows, []string{or(x.Name), or(x.ID), x.Health, or(x.Role), in, or(strings.Join(x.PeerURLs, ","))})
	}
	d.columns("  ", []string{"NAME", "ID", "HEALTH", "ROLE", "IN SPEC", "PEER URL"}, rows)
	for _, x := range m.Members {
		if x.Problem != "" {
			name := x.Name
			if name == "" {
				name = x.ID
			}
			d.wrapped(d.paint("", "  "+name+": "), x.Problem, yellow)
		}
	}
	return d.err
}

func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
