package plan

import (
	"strings"

	"quorate/plan/spec"
)

// KindRecord writes a host's manifest.
const KindRecord Kind = "record"

// Record writes the manifest once everything it says is true. The run's id,
// its time and the cluster's ids are filled in by the execution: only the run
// and the formed cluster know them. Holds afterwards: the manifest says so.
type Record struct {
	Path     string   `json:"path"`
	Owner    string   `json:"owner,omitempty"`
	Manifest Manifest `json:"manifest"`
}

// Kind of the step.
func (*Record) Kind() Kind { return KindRecord }

// record comes last on each host: the manifest never says more than is true.
func (b *builder) record(m *spec.Member) {
	want, have := b.want[m.Name].manifest, b.obs.Hosts[m.Name].Manifest
	if have != nil {
		want.ClusterID, want.MemberID = have.ClusterID, have.MemberID
	}
	touched := b.idsOf(m.Name, KindPush, KindFiles, KindCertificate, KindRestart)
	for _, s := range b.plan.Steps {
		if a, ok := s.Action.(*Start); ok {
			for _, sm := range a.Members {
				if sm.Member == m.Name || a.Bootstrap {
					touched = append(touched, s.ID)
					break
				}
			}
		}
	}
	var why []string
	switch {
	case have == nil:
		why = append(why, "there is no manifest")
	case !have.Formed && want.Formed:
		why = append(why, "the cluster has formed")
	case !have.same(want):
		why = append(why, "what is managed has changed")
	case len(touched) > 0:
		why = append(why, "this run changes the host")
	default:
		return
	}
	b.add(Step{
		Kind: KindRecord, Member: m.Name, Needs: touched, Reasons: why,
		Title:  "record on " + m.Name + ": " + strings.Join(why, ", "),
		Action: &Record{Path: b.layout[m.Name].Manifest, Owner: b.rootOwner(m), Manifest: *want},
	})
}
