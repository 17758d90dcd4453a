package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
)

// slowest is what the slowest disk that a member runs on is taken to write in a second: half of the 10 MB/s that etcd's
// hardware guide begins with.
const slowest = 5 << 20

// idleOf is how long a member with a database of that size may work on it without anything to be seen: a
// minute, and as long as the slowest disk takes for all of it. It bounds standing still, not the work.
func idleOf(size int64) time.Duration {
	return time.Minute + time.Duration(size/slowest)*time.Second
}

// maintainable reports whether what needs a cluster that serves can be planned, and holds what keeps it from that: who its
// members are is known, they are of one mind, a quorum is healthy, and none calls its data corrupt.
func (b *builder) maintainable() bool {
	b.history()
	b.plan.Situation = Unknown
	b.conflicts()
	v := b.now.Voters()
	switch storage := b.obs.Cluster.Storage; {
	case len(b.plan.Held) > 0:
		return false
	case !b.census.Known && v.Known():
		b.hold(Held{Reason: Quorum, Subject: b.spec.Name, Detail: "no member serves: " + b.problems(), WayOut: "bring the cluster up first: quorate apply"})
		return false
	case !b.census.Known || storage == nil:
		b.hold(Held{Reason: ClusterUnknown, Subject: b.spec.Name, Detail: "no member could say how the cluster is: " + b.problems(),
			WayOut: "find out why none could be asked (quorate status), then run again"})
		return false
	case !v.Writable():
		b.hold(Held{Reason: Quorum, Subject: b.spec.Name, Detail: fmt.Sprintf("%d of %d voters are known to be healthy, and a quorum is %d", v.Healthy, v.Total, v.Quorum()),
			WayOut: "bring the other members back first (see `quorate status`), then run again"})
		return false
	default:
		b.plan.Situation = Running
		who := b.raised(kvserver.AlarmCorrupt)
		for _, a := range storage.Alarms {
			if label := b.labelOf(a.Member); a.Kind == kvserver.AlarmCorrupt && !slices.Contains(who, label) {
				who = append(who, label)
			}
		}
		if slices.Sort(who); len(who) > 0 {
			b.corrupt(who)
			return false
		}
	}
	return true
}

// problems are what asking the members came to, in a line.
func (b *builder) problems() string {
	var out []string
	for _, m := range b.members {
		if why := or(m.host.Problem, m.answer.Problem); why != "" {
			out = append(out, m.Name+": "+why)
		}
	}
	return or(strings.Join(out, "; "), "none could be asked")
}
