package plan

import (
	"strings"
	"time"
)

// KindStop stops members for good.
const KindStop Kind = "stop"

// Stop stops the units of all members listed: the last one, which leads, once
// the others are down. It would otherwise wait for a successor that is leaving
// too. Holds afterwards: none of them runs or is started at boot.
type Stop struct {
	Members []StartMember `json:"members"`
	Wait    time.Duration `json:"wait"`
}

// StopWait bounds how long a unit may take to end: the unit kills it after a minute.
const StopWait = 2 * time.Minute

// Kind of the step.
func (*Stop) Kind() Kind { return KindStop }

// Phase of the step.
func (*Stop) Phase() Phase { return PhaseStop }

// Exclusive: voters go.
func (*Stop) Exclusive() bool { return true }

// Hosts of the members.
func (a *Stop) Hosts() []string { return names(a.Members) }

// Effect takes the members out of service for good.
func (a *Stop) Effect(_ string, now Membership) (during, after Membership, err error) {
	after = now
	for _, m := range names(a.Members) {
		if _, listed := now.Of(m); listed && err == nil {
			after, err = after.Off(m)
		}
	}
	return after, after, err
}

// Describe has nothing to add to the title.
func (*Stop) Describe() Description { return Description{Sign: Gone} }

// stop ends members for good, those that run or would be started at boot.
func (b *builder) stop(members ...*member) {
	a := &Stop{Wait: StopWait}
	for _, m := range b.leaderLast(members) {
		if u := m.host.Unit; u.Loaded && (u.Enabled || u.Active != "inactive") {
			a.Members = append(a.Members, StartMember{Member: m.Name, Unit: m.layout.Unit})
		}
	}
	if len(a.Members) == 0 {
		return
	}
	who := names(a.Members)
	b.add(draft{subject: strings.Join(who, ","), Step: Step{Title: "stop " + strings.Join(who, ", ") + " for good, also at boot", Action: a}})
}
