package provision

import (
	"context"
	"fmt"
	"strings"

	"quorate/plan"
)

// MemberReport is what a member answered when a run was over.
type MemberReport struct {
	Name string `json:"name"`
	// ID of the member in hex, "" if it gave none.
	ID      string `json:"id,omitempty"`
	Healthy bool   `json:"healthy"`
	// Endpoint is where it serves clients: host:port.
	Endpoint string `json:"endpoint"`
	Problem  string `json:"problem,omitempty"`
}

// verdict is what a run says of its cluster at the end.
type verdict struct {
	voters  *plan.Voters
	members []MemberReport
	err     error
}

// verify asks every member once more when no step is left that touches one: what is said at
// the end of a run is what was seen then, not what was planned. No quorum is
// an error. It costs one round trip, beside that of noting down; nothing is retried.
func (r *run) verify(ctx context.Context) (out verdict) {
	admin, err := r.session.Admin(ctx)
	if err != nil {
		out.err = fmt.Errorf("every step is done, and nobody could be asked whether the cluster serves: %w", err)
		return out
	}
	members := r.session.cluster.Members
	answers := make([]plan.Answer, len(members))
	parallel(len(members), func(i int) { answers[i] = r.session.ask(ctx, admin, members[i].Name) })
	o := &plan.Observed{Hosts: map[string]*plan.Host{}, Cluster: plan.Cluster{Answers: map[string]plan.Answer{}}}
	for i, m := range members {
		o.Hosts[m.Name] = &plan.Host{}
		o.Cluster.Answers[m.Name] = answers[i]
	}
	census := plan.TakeCensus(r.session.cluster, o)
	if r.verifyOutsiders(ctx, admin, o, census) {
		census = plan.TakeCensus(r.session.cluster, o)
	}
	v := census.Membership.Voters()
	out.voters = &v
	var problems []string
	for _, e := range r.session.Endpoints() {
		a := o.Cluster.Answers[e.Name]
		in, _ := census.Membership.Of(e.Name)
		m := MemberReport{Name: e.Name, Healthy: in.Health == plan.Healthy, Endpoint: e.Address, Problem: a.Problem}
		if a.Status != nil {
			m.ID = fmt.Sprintf("%x", a.Status.MemberID)
		}
		if !m.Healthy && m.Problem != "" {
			problems = append(problems, m.Name+": "+m.Problem)
		}
		out.members = append(out.members, m)
	}
	for _, c := range census.Conflicts {
		problems = append(problems, c.Subject+": "+c.Detail)
	}
	if !v.Writable() {
		out.err = fmt.Errorf("every step is done, and the cluster does not serve: %s (%s)", v, strings.Join(problems, "; "))
	}
	return out
}

// verifyOutsiders asks those that are listed and not the spec's (their expulsion is held): they count for the quorum. It
// reports whether there are any.
func (r *run) verifyOutsiders(ctx context.Context, admin Admin, o *plan.Observed, census plan.Census) bool {
	var out []plan.Listed
	for _, l := range census.Membership.Members() {
		if l.Spec == "" && r.session.asks(l.Outside) {
			out = append(out, l)
		}
	}
	answers := make([]plan.Answer, len(out))
	parallel(len(out), func(i int) { answers[i] = askThrough(ctx, admin, out[i].Outside) })
	o.Cluster.Strangers = map[uint64]plan.Stranger{}
	for i, l := range out {
		o.Cluster.Strangers[l.ID] = plan.Stranger{Answer: answers[i]}
	}
	return len(out) > 0
}
