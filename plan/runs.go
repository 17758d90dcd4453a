package plan

import (
	"encoding/json"
	"slices"
	"time"
)

// RunsKept is how many runs a manifest remembers.
const RunsKept = 20

// Run is a run that changed a host, as the host's manifest notes it. It is noted with the record of the host, so
// after every other step there: a run that was cut before that is not in it.
type Run struct {
	ID   string    `json:"id"` // sortable by time
	Verb Verb      `json:"verb"`
	At   time.Time `json:"at"` // when it began
	// By is who began it, user@machine; "" in notes of older versions, as is what follows.
	By string `json:"by,omitempty"`
	// Changed are the kinds of the steps that changed something on this host, each once, in the order in which they ended.
	Changed []Kind `json:"changed,omitempty"`
	// SpecDigest of the cluster that was applied.
	SpecDigest string `json:"spec_digest,omitempty"`
	// On are the members on whose hosts the plan of this run had a record: one that lacks the note was not finished.
	On []string `json:"on,omitempty"`
}

// Ran notes a run that changed the host: the newest goes last, and is there once.
func (m *Manifest) Ran(r Run) {
	m.Runs = slices.DeleteFunc(slices.Clone(m.Runs), func(o Run) bool { return o.ID == r.ID })
	m.Runs = append(m.Runs, r)
	m.Runs = m.Runs[max(0, len(m.Runs)-RunsKept):]
}

// UnmarshalJSON also reads manifests of versions that noted the last run alone.
func (m *Manifest) UnmarshalJSON(b []byte) error {
	type plain Manifest // without this method
	was := struct {
		*plain
		LastRun Run `json:"last_run"`
	}{plain: (*plain)(m)}
	if err := json.Unmarshal(b, &was); err != nil {
		return err
	}
	if len(m.Runs) == 0 && was.LastRun.ID != "" {
		m.Runs = []Run{was.LastRun}
	}
	return nil
}

// Noted is what the manifest says of a run; nil: nothing. A manifest may be nil.
func (m *Manifest) Noted(run string) *Run {
	if m == nil {
		return nil
	}
	if i := slices.IndexFunc(m.Runs, func(r Run) bool { return r.ID == run }); i >= 0 {
		return &m.Runs[i]
	}
	return nil
}

// Lacks reports whether a run that had a record for this host never got to it: the manifest does not note it, and
// reaches back to before it, or is still that of a bootstrap that has not finished. A host that was made anew since
// then knows nothing of the run, which says nothing.
func (m *Manifest) Lacks(run string) bool {
	switch {
	case m == nil || m.Noted(run) != nil:
		return false
	case len(m.Runs) == 0:
		return !m.Formed
	}
	return m.Runs[0].ID < run
}
