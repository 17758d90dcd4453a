package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision/host"
)

// record writes the manifest, with the run and the cluster's own ids in it.
func (r *run) record(ctx context.Context, h host.Host, s plan.Step, a *plan.Record) (outcome, error) {
	m := a.Manifest
	m.Ran(r.note(s.Member))
	m.Files = maps.Clone(m.Files)
	for path, d := range m.Files {
		m.Files[path] = r.digest(d)
	}
	r.mu.Lock()
	if done := r.keys[s.Member]; len(done) > 0 {
		m.Keys = maps.Clone(m.Keys)
		if m.Keys == nil {
			m.Keys = map[string]string{}
		}
		maps.Copy(m.Keys, done)
	}
	r.mu.Unlock()
	m.Applied(plan.AppliedSpec{Digest: m.SpecDigest, At: r.begun.UTC(), By: r.session.world.Holder.Who})
	if st, ok := r.recall(ctx, s.Member); ok {
		m.ClusterID, m.MemberID, m.Version = fmt.Sprintf("%x", st.ClusterID), fmt.Sprintf("%x", st.MemberID), st.Version
	}
	_, err := h.Write(ctx, host.WriteRequest{Files: []host.File{{Path: a.Path, Mode: 0o644, Owner: a.Owner, Content: m.Encode()}}})
	return outcome{changed: true}, err
}

// note is what the manifest of a member's host says of this run.
func (r *run) note(member string) plan.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := plan.Run{
		ID: r.opt.ID, Verb: r.plan.Verb, At: r.begun.UTC(), By: r.session.world.Holder.Who,
		Changed: slices.Clone(r.changed[member]), SpecDigest: r.plan.SpecDigest,
	}
	for _, s := range r.plan.Steps {
		if s.Kind == plan.KindRecord {
			n.On = append(n.On, s.Member)
		}
	}
	return n
}

// saw keeps a member's status for the rest of the run: its ids do not change.
func (r *run) saw(name string, s kvserver.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status[name] = s
}

// recall is a member's status as this run has seen it, or asked now. A member
// that does not answer leaves the ids as the plan has them.
func (r *run) recall(ctx context.Context, name string) (kvserver.Status, bool) {
	r.mu.Lock()
	s, ok := r.status[name]
	r.mu.Unlock()
	if ok {
		return s, true
	}
	admin, err := r.session.Admin(ctx)
	if err != nil {
		return s, false
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err = admin.Status(ctx, name)
	return s, err == nil
}
