package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan"
	"quorate/plan/spec"
)

// Status is what a look at a cluster tells its operator. It is also the JSON
// of `status --json`: names there do not change their meaning.
type Status struct {
	Cluster string `json:"cluster"`
	// Healthy: every member of the spec answers a linearizable read, votes, and has no alarm; and no
	// member's data was seen to differ.
	Healthy bool `json:"healthy"`
	// Voters as far as they can be told: without a member list, the spec's.
	Voters   int `json:"voters"`
	VotersUp int `json:"voters_healthy"`
	// VotersUnknown could not be asked: they may be healthy.
	VotersUnknown int `json:"voters_unknown"`
	Tolerance     int `json:"tolerance"` // of those known to be healthy; -1: they are no quorum
	// Leader's name, "" if none is known.
	Leader  string         `json:"leader,omitempty"`
	Members []MemberStatus `json:"members"`
	// Unexpected are members that the cluster lists and the spec does not.
	Unexpected []kvserver.Member `json:"unexpected_members,omitempty"`
	// Data is the comparison of the members' data, nil if it was not asked for.
	Data *DataStatus `json:"data,omitempty"`
	// Backups that hosts take by themselves, nil if they take none.
	Backups  *plan.BackupHealth `json:"backups,omitempty"`
	CA       *Expiry            `json:"ca,omitempty"`
	Clients  []Expiry           `json:"clients,omitempty"`
	Problems []string           `json:"problems,omitempty"`
	// Warnings are about what does not keep the cluster from serving.
	Warnings []string `json:"warnings,omitempty"`
}

// MemberStatus is one member of the spec.
type MemberStatus struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"` // https://…
	// Asked says how asking it went: answered, no-leader, timed-out, dead, refused, or not-asked.
	Asked   string `json:"asked"`
	Healthy bool   `json:"healthy"`
	Leader  bool   `json:"leader"`
	// Listed: the cluster has it as a member. Nil: no member list could be had.
	Listed   *bool    `json:"listed"`
	PeerURLs []string `json:"peer_urls,omitempty"`
	// Unit is the service manager's word; "unknown" if the host could not be seen.
	Unit    string `json:"unit"`
	Enabled bool   `json:"enabled"`
	// Manager of the unit: systemd, or supervise for processes without root.
	Manager string `json:"manager,omitempty"`
	// Status is the member's own word, nil if it gave none.
	Status       *kvserver.Status `json:"status,omitempty"`
	Certificates []Expiry         `json:"certificates"`
	// Aside are the folders on its host with data that was moved aside and is kept: absolute paths, sorted.
	Aside []string `json:"aside,omitempty"`
	// HostProblem says why the host could not be seen; Problem why the member is not healthy.
	HostProblem string `json:"host_problem,omitempty"`
	Problem     string `json:"problem,omitempty"`
}

// Expiry is a certificate and when it ends.
type Expiry struct {
	Holder   string    `json:"holder"`
	Profile  string    `json:"profile"`
	NotAfter time.Time `json:"not_after"`
	// State is ok, due (inside its renewal window), expired, missing, or unknown
	// where the host could not be seen.
	State string `json:"state"`
}

// StatusOf puts an observation into the operator's words.
func StatusOf(c *spec.Cluster, o *plan.Observed, now time.Time) Status {
	s := Status{Cluster: c.Name, Healthy: true}
	census := plan.TakeCensus(c, o)
	v := census.Membership.Voters()
	s.Voters, s.VotersUp, s.VotersUnknown, s.Tolerance = v.Total, v.Healthy, v.Unknown, v.Tolerance()
	for _, l := range census.Membership.Members() {
		if l.Spec == "" {
			s.Unexpected = append(s.Unexpected, kvserver.Member{ID: l.ID, Name: l.Name, PeerURLs: l.PeerURLs, Learner: l.Learner})
		}
	}
	for _, m := range c.Members {
		ms := member(c, m, o, now)
		in, listed := census.Membership.Of(m.Name)
		ms.Healthy = in.Health == plan.Healthy
		if census.Known {
			ms.Listed, ms.PeerURLs = &listed, in.PeerURLs
			if !listed {
				ms.ail("the cluster does not list it as a member")
			} else if in.Learner {
				ms.ail("it is a learner: it does not vote")
			}
		}
		if ms.Status != nil {
			ms.Leader = census.Leader != 0 && ms.Status.MemberID == census.Leader
			if ms.Leader {
				s.Leader = m.Name
			}
			if len(ms.Status.Alarms) > 0 {
				ms.ail("it raises the alarm " + strings.Join(ms.Status.Alarms, ", "))
			}
		}
		s.Healthy = s.Healthy && ms.Healthy
		s.Members = append(s.Members, ms)
	}
	for _, c := range census.Conflicts {
		s.Healthy = false
		s.Problems = append(s.Problems, fmt.Sprintf("%s: %s (%s)", c.Subject, c.Detail, c.Reason))
	}
	switch {
	case o.CA.Problem != "":
		s.Problems = append(s.Problems, o.CA.Problem)
	case !o.CA.Exists:
		s.Problems = append(s.Problems, "there is no CA in "+c.TLS.Dir+", so no member could be asked")
	}
	if open := plan.PeersByAnyName(c, o); len(open) > 0 {
		s.Warnings = append(s.Warnings, List(open)+": "+plan.PeersOpen+" (`quorate plan` says what is to be done)")
	}
	for _, r := range plan.Uncleaned(c, o, census) {
		if h := o.Left[r.ID].Host; h != nil && h.Problem == "" {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s (id %s) was expelled, and its host can be reached again: `quorate apply` cleans it", cmp.Or(r.Name, r.ID), r.ID))
			continue
		}
		s.Warnings = append(s.Warnings, r.Unreached())
	}
	if m := plan.UnfinishedRestore(o); m != nil {
		s.Healthy = false
		s.Problems = append(s.Problems, plan.UnfinishedText(m)+": `quorate restore --resume` finishes it, `quorate restore --undo` brings the old data back")
	}
	if o.CA.Exists {
		e := expiry("CA", "ca", &o.CA.Cert, c.TLS, o.CA.Cert, now)
		s.CA = &e
	}
	for _, cl := range c.ClientsHere() {
		s.Clients = append(s.Clients, expiry(cl.Name, string(pki.Client), o.Clients[cl.Name].Cert, c.TLS, o.CA.Cert, now))
	}
	return s
}

func member(c *spec.Cluster, m *spec.Member, o *plan.Observed, now time.Time) MemberStatus {
	h, l, a := o.Hosts[m.Name], plan.LayoutOf(c, m), o.Cluster.Answers[m.Name]
	ms := MemberStatus{
		Name: m.Name, Endpoint: node.URL("https", m.Address, m.ClientPort), Asked: cmp.Or(string(a.Asked), "not-asked"),
		Unit: "unknown", Status: a.Status, Problem: a.Problem, HostProblem: h.Problem, Certificates: []Expiry{},
	}
	if h.Problem != "" {
		for _, p := range profiles {
			ms.Certificates = append(ms.Certificates, Expiry{Holder: m.Name, Profile: string(p), State: "unknown"})
		}
		return ms
	}
	ms.Enabled, ms.Manager = h.Unit.Enabled, h.Manager
	ms.Aside = slices.Sorted(slices.Values(slices.Concat(h.Data.Aside, h.WAL.Aside, h.Base.Aside, h.Kept, h.Former.Aside())))
	if ms.Unit = h.Unit.Active; !h.Unit.Loaded {
		ms.Unit = "absent"
	}
	for _, p := range profiles {
		var there *pki.Certificate
		if cert, ok := h.Certificates[l.Cert(string(p))]; ok {
			there = &cert
		}
		ms.Certificates = append(ms.Certificates, expiry(m.Name, string(p), there, c.TLS, o.CA.Cert, now))
	}
	return ms
}

// profiles of a member's certificates, in the order of the output.
var profiles = []pki.Profile{pki.Server, pki.Peer, pki.Client}

// ail marks a member as not healthy and says why, beside what was said before.
func (m *MemberStatus) ail(problem string) {
	m.Healthy = false
	m.Problem = strings.TrimPrefix(m.Problem+"; "+problem, "; ")
}

// expiry of a certificate, nil for one that is not there.
func expiry(holder, profile string, c *pki.Certificate, t spec.TLS, ca pki.Certificate, now time.Time) Expiry {
	if c == nil {
		return Expiry{Holder: holder, Profile: profile, State: "missing"}
	}
	e := Expiry{Holder: holder, Profile: profile, NotAfter: c.NotAfter, State: "ok"}
	switch {
	case !now.Before(c.NotAfter):
		e.State = "expired"
	case !c.IsCA && pki.Due(*c, pki.Want{Request: pki.Request{Lifetime: t.LeafLifetime}, CA: ca, Now: now, RenewBefore: t.RenewBefore}):
		e.State = "due"
	}
	return e
}

// headline is the one line to read when there is time for one.
func (s Status) headline() string {
	v := plan.Voters{Total: s.Voters, Healthy: s.VotersUp, Unknown: s.VotersUnknown}
	text := fmt.Sprintf("cluster %s: %s", s.Cluster, v)
	if s.Leader != "" {
		text += ", leader " + s.Leader
	}
	by := map[string][]string{}
	for _, m := range s.Members {
		if !m.Healthy {
			word := map[string]string{"answered": "not healthy", "no-leader": "without a leader", "timed-out": "timed out", "dead": "not running",
				"refused": "refused the certificate", "not-asked": "not asked"}[m.Asked]
			by[word] = append(by[word], m.Name)
		}
	}
	for _, word := range slices.Sorted(maps.Keys(by)) {
		text += "; " + word + ": " + strings.Join(by[word], ", ")
	}
	return text
}
