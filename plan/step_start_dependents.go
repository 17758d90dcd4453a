package plan

import "time"

// KindStartDependents starts those again that were stopped with the cluster.
const KindStartDependents Kind = "start-dependents"

// StartDependents starts what of one dependents block ran when the restore began, on all its machines together: on each the units, one
// after another, and then the manifests come back. Holds afterwards: units are active, and have stayed so for Settle; manifests are in
// their place; Processes run, and somebody listens on Ports. What does not come back is named, and the run goes on: it undoes
// nothing of the restore.
type StartDependents struct {
	dependents
	Settle time.Duration `json:"settle"`
}

// Kind of the step.
func (*StartDependents) Kind() Kind { return KindStartDependents }

// Phase of the step.
func (*StartDependents) Phase() Phase { return PhaseReturn }

// Describe names what is started, and where.
func (a *StartDependents) Describe() Description {
	return a.describe(New, "started", func(m MovedManifest) string { return "comes back from " + dirOf(m.Away) })
}
