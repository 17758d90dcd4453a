package plan

import (
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
)

// KindRevive starts a cluster whose data was exchanged.
const KindRevive Kind = "revive"

// Revive lets the members start on the data that is in its place, and starts them all together. Holds afterwards: they are enabled
// and serve, as one cluster with one leader; restored ones under the ids that their marks say, with the same keys by their hash, and
// with no history before the revision that the marks say. After an undo it is any cluster but the restored one.
type Revive struct {
	Members []StartMember `json:"members"`
	Marks   []MarkRestore `json:"marks"` // as they are to be before anybody starts
	Voters  int           `json:"voters"`
	// Blind: the cluster had no quorum when the restore began, so that none is waited for after an undo.
	Blind bool          `json:"blind,omitempty"`
	Wait  time.Duration `json:"wait"`
}

// Kind of the step.
func (*Revive) Kind() Kind { return KindRevive }

// Phase of the step.
func (*Revive) Phase() Phase { return PhaseStart }

// Exclusive: voters come up.
func (*Revive) Exclusive() bool { return true }

// Hosts of the members.
func (a *Revive) Hosts() []string { return names(a.Members) }

// Effect makes a cluster out of the members.
func (a *Revive) Effect(_ string, now Membership) (during, after Membership, err error) {
	if a.Blind {
		return now, now, nil
	}
	after, err = born(a.Members)
	return now, after, err
}

// Describe has nothing to add to the title and the reasons.
func (*Revive) Describe() Description { return Description{Sign: New} }

// born is the membership of those who form a cluster together.
func born(members []StartMember) (Membership, error) {
	var out []Listed
	for _, m := range members {
		out = append(out, Listed{Name: m.Member, Spec: m.Member, PeerURLs: []string{m.PeerURL}, Started: true, Health: Healthy})
	}
	return NewMembership(out...)
}

// revive adds the step.
func (b *builder) revive(of restoring, stage kvserver.RestoreStage, why string) {
	a := &Revive{Voters: len(b.members), Wait: startWait}
	if stage.Backwards() {
		a.Voters, a.Blind = of.mark.Voters, of.mark.Voters == 0
	}
	for _, m := range b.members {
		mark := of.markOf(m)
		mark.Stage = stage
		a.Members = append(a.Members, StartMember{Member: m.Name, Unit: m.layout.Unit, PeerURL: peerURL(m.Member)})
		a.Marks = append(a.Marks, MarkRestore{Path: m.layout.Restore, Owner: b.rootOwner(m), Mark: mark})
	}
	who := names(a.Members)
	b.add(draft{after: slices.Concat(b.ids(KindStop), b.ids(KindSwap)), subject: strings.Join(who, ","),
		Step: Step{Title: "start " + strings.Join(who, ", ") + " and see that they are one cluster", Reasons: []string{why}, Action: a}})
}
