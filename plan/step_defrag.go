package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"quorate/kvserver"
	"quorate/plan/spec"
)

// KindDefrag gives the free space in one member's database back to its host.
const KindDefrag Kind = "defrag"

// Defragment has one member write its database anew, without the free space in it. Meanwhile it answers nobody, so it
// starts only while every voter is healthy, and leadership is moved away first. Holds afterwards: the member answers
// a linearizable read and has caught up with what was applied before; of its database no more is free than Rule says,
// which is as small as etcd makes it.
type Defragment struct {
	Target Ref `json:"target"`
	Voters int `json:"voters"`
	// Rule says when there is nothing to do; nil: never.
	Rule *FreeRule `json:"rule,omitempty"`
	// Size of the database and InUse of it, in bytes, when the plan was made.
	Size  int64 `json:"size"`
	InUse int64 `json:"in_use"`
	// Idle bounds how long the member may write nothing meanwhile, see [idleOf]; Wait how long it may take to serve afterwards.
	Idle time.Duration `json:"idle"`
	Wait time.Duration `json:"wait"`
}

// FreeRule says which databases are worth being written anew.
type FreeRule struct {
	// Free is the share of the file that is not in use, 0 to 1, above which one is.
	Free float64 `json:"free"`
	// Larger is the size in bytes above which one is.
	Larger int64 `json:"larger"`
	// Cramped is the size in bytes from which one is, however little of it is said to be free; 0: that does not count. What a
	// compaction frees a member tells of only with a commit after that, and while NOSPACE stands there may be none for long.
	Cramped int64 `json:"cramped,omitempty"`
}

// Over reports whether a database of size bytes, of which some are in use, is.
func (r FreeRule) Over(size, inUse int64) bool {
	return r.Cramped > 0 && size >= r.Cramped || size > r.Larger && float64(size-inUse) > r.Free*float64(size)
}

func (r FreeRule) String() string {
	larger := Bytes(r.Larger)
	if r.Larger%1e6 == 0 {
		larger = humanize.Bytes(uint64(r.Larger)) // as it was said
	}
	return fmt.Sprintf("more than %.0f %% free and larger than %s", r.Free*100, larger)
}

// Kind of the step.
func (*Defragment) Kind() Kind { return KindDefrag }

// Phase of the step.
func (*Defragment) Phase() Phase { return PhaseRoll }

// Exclusive: a voter is away for a while.
func (*Defragment) Exclusive() bool { return true }

// Hosts are none beside the step's own.
func (*Defragment) Hosts() []string { return nil }

// Effect takes the member away and brings it back.
func (*Defragment) Effect(member string, now Membership) (during, after Membership, err error) {
	during, err = now.Down(member)
	return during, now, err
}

// Describe has nothing to add to the title and the reasons.
func (*Defragment) Describe() Description { return Description{Sign: Changed} }

// Bytes is a size for people: "4.2 GiB".
func Bytes(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// DatabaseSize is a database in words: "4.2 GiB, 1.1 GiB (26 %) of it free".
func DatabaseSize(size, inUse int64) string {
	free := max(size-inUse, 0)
	return fmt.Sprintf("%s, %s (%.0f %%) of it free", Bytes(size), Bytes(free), 100*float64(free)/float64(max(size, 1)))
}

// DefragOptions say which databases are written anew.
type DefragOptions struct {
	// Rule that a database is over; nil: every one is written anew.
	Rule *FreeRule
	// Members of the spec by name; none: all.
	Members []string
}

// BuildDefrag plans that members give back free space in their databases, followers first, the leader last.
func BuildDefrag(c *spec.Cluster, o *Observed, opt Options, d DefragOptions) (*Plan, error) {
	b, err := begin(Defrag, c, o, opt)
	if err != nil {
		return nil, err
	}
	if !b.maintainable() {
		return b.finish()
	}
	var over []served
	for _, s := range b.served() {
		switch {
		case s.member != nil && len(d.Members) > 0 && !slices.Contains(d.Members, s.member.Name):
		case s.member == nil:
			if len(d.Members) == 0 {
				b.note("%s is not in the spec, and its database is left as it is: %s", s.Label(), s.size())
			}
		case s.Learner:
			b.note("%s is a learner, which etcd does not let defragment: its database is left as it is", s.Label())
		case d.Rule != nil && !d.Rule.Over(s.status.DBSize, s.status.DBSizeInUse):
			b.note("%s: %s; worth it is one with %s", s.Label(), s.size(), d.Rule)
		default:
			over = append(over, s)
		}
	}
	for _, m := range b.members {
		if named := len(d.Members) == 0 || slices.Contains(d.Members, m.Name); named && !m.healthy() {
			b.note("%s %s, and its database is left as it is", m.Name, m.absent())
		}
	}
	if b.interruptible(over) {
		over = slices.DeleteFunc(over, b.lacksRoom)
		b.defragment(over, d.Rule)
	}
	return b.finish()
}

// absent says in words why a member is not healthy.
func (m *member) absent() string {
	switch {
	case !m.in:
		return "is no member of the cluster yet"
	case m.listed.Health == HealthUnknown:
		return "could not be asked"
	}
	return "does not serve"
}

// interruptible reports whether voters may be taken away one after another, or holds it.
func (b *builder) interruptible(those []served) bool {
	v := b.now.Voters()
	if len(those) == 0 || v.Healthy == v.Total {
		return true
	}
	b.hold(Held{Reason: Quorum, Subject: strings.Join(texts(those, served.Label), ", "),
		Detail: fmt.Sprintf("a member answers nobody while it defragments, and only %d of %d voters are known to be healthy; one more away would leave %d, and a quorum is %d",
			v.Healthy, v.Total, v.Healthy-1, v.Quorum()),
		WayOut: "bring the other members back first (see `quorate status`), then run again"})
	return false
}

// lacksRoom holds what would not find room for the new database beside the old one.
func (b *builder) lacksRoom(s served) bool {
	dir := s.member.layout.Data
	free, known := s.member.host.Space[dir]
	if !known || free > s.status.DBSizeInUse {
		return false
	}
	b.hold(Held{Reason: DiskFull, Subject: s.Label(),
		Detail: fmt.Sprintf("%s has %s free, and until it is in its place the new database takes about %s beside the old one", dir, Bytes(free), Bytes(s.status.DBSizeInUse)),
		WayOut: "free some space there, or enlarge the file system, then run again"})
	return true
}

// defragment adds the steps, and gives their IDs.
func (b *builder) defragment(those []served, rule *FreeRule, after ...string) []string {
	those = last(those, func(s served) bool { return b.leads(s.member) })
	var ids []string
	for _, s := range those {
		expect := "afterwards about " + Bytes(s.status.DBSizeInUse)
		if len(after) > 0 {
			expect = "how small it gets is known once it is compacted"
		}
		b.add(draft{after: after, Step: Step{
			Member: s.member.Name, Title: "defragment " + s.Label(), Reasons: []string{s.size() + "; " + expect},
			Action: &Defragment{Target: s.Ref(), Voters: b.now.Voters().Total, Rule: rule, Size: s.status.DBSize, InUse: s.status.DBSizeInUse,
				Idle: idleOf(s.status.DBSize), Wait: startWait},
		}})
		ids = append(ids, b.steps[len(b.steps)-1].ID)
	}
	return ids
}

// served is a listed member that answers, and what it says of itself.
type served struct {
	Listed
	member *member // nil: the spec does not have it
	status *kvserver.Status
}

func (s served) size() string { return DatabaseSize(s.status.DBSize, s.status.DBSizeInUse) }

// served are the members that answer, the spec's first, in its order.
func (b *builder) served() []served {
	var out []served
	add := func(l Listed, m *member, a Answer) {
		if l.Health == Healthy && a.Status != nil {
			out = append(out, served{l, m, a.Status})
		}
	}
	for _, m := range b.members {
		if m.in {
			add(m.listed, m, m.answer)
		}
	}
	for _, l := range b.census.Membership.Members() {
		if l.Spec == "" {
			add(l, nil, b.obs.Cluster.Strangers[l.ID].Answer)
		}
	}
	return out
}
