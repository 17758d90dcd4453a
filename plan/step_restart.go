package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quorate/plan/spec"
)

// KindRestart restarts one serving member.
const KindRestart Kind = "restart"

// Restart takes one healthy voter away for a moment. It starts only while
// every voter is healthy; leadership is moved away first. Holds afterwards:
// the member runs the executable and configuration with these digests, answers
// a linearizable read and has caught up with what was applied before.
type Restart struct {
	Unit         string        `json:"unit"`
	ExeDigest    string        `json:"exe_digest"`
	ConfigDigest string        `json:"config_digest"`
	Voters       int           `json:"voters"`
	Wait         time.Duration `json:"wait"` // bounds the whole step
}

// Kind of the step.
func (*Restart) Kind() Kind { return KindRestart }

// restarts rolls what runs with something else than it should through the
// members: one at a time, followers first, the leader last.
func (b *builder) restarts() {
	var stale []*spec.Member
	why := map[string][]string{}
	for _, m := range b.acting {
		if b.obs.Cluster.Healthy[m.Name] || b.served[m.Name] {
			if why[m.Name] = b.stale(m); len(why[m.Name]) > 0 {
				stale = append(stale, m)
			}
		}
	}
	if len(stale) == 0 {
		return
	}
	if b.now.Healthy < b.now.Total {
		var names []string
		for _, m := range stale {
			names = append(names, m.Name)
		}
		b.hold(Held{
			Reason: Quorum, Subject: strings.Join(names, ", "),
			Detail: fmt.Sprintf("a restart is due, but only %d of %d voters will be healthy; restarting one more would leave %d, and a quorum is %d",
				b.now.Healthy, b.now.Total, b.now.Healthy-1, b.now.Quorum()),
			WayOut: "bring the other members back first (see the notes and `quorate status`), then apply again",
		})
		return
	}
	last := b.ids(KindStart)
	for _, m := range b.leaderLast(stale) {
		needs := slices.Concat(b.idsOf(m.Name, KindPush, KindFiles, KindCertificate), last)
		b.add(Step{
			Kind: KindRestart, Member: m.Name, Reasons: why[m.Name], Needs: needs,
			Title:  "restart " + m.Name,
			Quorum: Effect{Before: b.now, During: b.now.Down(1), After: b.now},
			Action: &Restart{Unit: b.layout[m.Name].Unit, ExeDigest: b.want[m.Name].exe, ConfigDigest: b.want[m.Name].config,
				Voters: b.now.Total, Wait: startWait},
		})
		last = []string{b.plan.Steps[len(b.plan.Steps)-1].ID}
	}
}

// leaderLast gives the members in their order, but the leader, if it is known and among them, at the end.
func (b *builder) leaderLast(members []*spec.Member) []*spec.Member {
	leader := b.obs.Cluster.Leader()
	var out, last []*spec.Member
	for _, m := range members {
		if st, ok := b.obs.Cluster.Status[m.Name]; ok && leader != 0 && st.MemberID == leader {
			last = append(last, m)
		} else {
			out = append(out, m)
		}
	}
	return append(out, last...)
}
