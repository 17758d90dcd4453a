package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/plan/spec"
)

// KindDisarm ends the alarm NOSPACE.
const KindDisarm Kind = "disarm"

// Disarm ends the alarm NOSPACE of every member that raised it, once the database of each member that answers is below
// its quota, and of each that raised it and is listed still. CORRUPT is never disarmed. Holds afterwards: NOSPACE does
// not stand, and every voter that answers takes a write.
type Disarm struct {
	quiet
	// Quota in bytes of a member that does not say its own, as before etcd 3.6; 0: etcd's default.
	Quota int64 `json:"quota"`
}

// DefaultQuota is the quota of a member that has none: DefaultQuotaBytes in etcd's storage/quota.go.
const DefaultQuota = 2 << 30

// Kind of the step.
func (*Disarm) Kind() Kind { return KindDisarm }

// Phase of the step.
func (*Disarm) Phase() Phase { return PhaseDisarm }

// Describe has nothing to add to the title.
func (*Disarm) Describe() Description { return Description{Sign: Changed} }

// QuotaOf is how large the database of a member may get.
func (a *Disarm) QuotaOf(st kvserver.Status) int64 { return cmp.Or(st.DBQuota, a.Quota, DefaultQuota) }

// roomy is the share of its quota below which a database leaves room to go on with: NOSPACE was not raised over it, or the
// quota was raised since. Above it the next writes would raise the alarm again.
const roomy = 0.8

// reclaimRule is for whom it is worth to give back what a compaction freed. A database that was just written anew has
// up to a tenth free, or a few pages.
var reclaimRule = FreeRule{Free: 0.1, Larger: 128 << 10}

// BuildDisarm plans the way out of NOSPACE: compact but for the last keep revisions, have the members give back what that
// frees, end the alarm, see that writes are taken. Where every database leaves room already, the alarm alone is ended.
func BuildDisarm(c *spec.Cluster, o *Observed, opt Options, keep int64) (*Plan, error) {
	b, err := begin(AlarmDisarm, c, o, opt)
	if err != nil {
		return nil, err
	}
	if !b.maintainable() {
		return b.finish()
	}
	var who []string
	for _, a := range o.Cluster.Storage.Alarms {
		if a.Kind == kvserver.AlarmNoSpace {
			who = append(who, b.labelOf(a.Member))
		}
	}
	if len(who) == 0 {
		return b.finish()
	}
	slices.Sort(who)
	if needs, ok := b.reclaim(&Disarm{Quota: c.Server.QuotaBackendBytes}, keep); ok {
		b.disarm(strings.Join(who, ", "), needs)
	}
	return b.finish()
}

// disarm adds the step, after others.
func (b *builder) disarm(who string, after []string) {
	b.add(draft{after: after, Step: Step{Title: "disarm NOSPACE of " + who, Action: &Disarm{Quota: b.spec.Server.QuotaBackendBytes},
		Reasons: []string{"writes are refused until then; that they are taken afterwards is seen by a lease through every voter, granted and revoked: no key is touched"}}})
}

// labelOf is what a member is called that has this id, its id where it is listed no more.
func (b *builder) labelOf(id uint64) string {
	for _, l := range b.census.Membership.Members() {
		if l.ID == id {
			return l.Label()
		}
	}
	return kvserver.ID(id)
}

// reclaim plans what makes room in databases that do not leave any, and gives the steps to wait for; false
// where something of it is held.
func (b *builder) reclaim(d *Disarm, keep int64) (needs []string, ok bool) {
	all := b.served()
	cramped := slices.DeleteFunc(slices.Clone(all), func(s served) bool {
		return float64(s.status.DBSize) < roomy*float64(d.QuotaOf(*s.status))
	})
	if len(cramped) == 0 {
		for _, s := range all {
			b.note("%s: its database has %s of %s: it leaves room already", s.Label(), Bytes(s.status.DBSize), Bytes(d.QuotaOf(*s.status)))
		}
		return nil, true
	}
	held := len(b.plan.Held)
	for _, s := range cramped {
		switch quota := d.QuotaOf(*s.status); {
		case s.member == nil, s.Learner:
			why := "the spec does not have it"
			if s.Learner {
				why = "it is a learner, which etcd does not let defragment"
			}
			if s.status.DBSize >= quota {
				b.hold(Held{Reason: NoSpace, Subject: s.Label(), Detail: fmt.Sprintf("its database has %s of %s, and stays so: %s", Bytes(s.status.DBSize), Bytes(quota), why),
					WayOut: "bring the members to what the spec says first (quorate plan), or raise its quota"})
			}
		case s.status.DBSizeInUse >= quota && b.revision()-keep <= max(b.obs.Cluster.Storage.Compacted, 1):
			b.hold(Held{Reason: NoSpace, Subject: s.Label(),
				Detail: fmt.Sprintf("its quota is %s, and %s are in use by keys and the last %d revisions: no defragmentation makes room", Bytes(quota), Bytes(s.status.DBSizeInUse), keep),
				WayOut: "raise quota_backend_bytes and apply, which NOSPACE does not hold up, then run again; or delete keys (quorate ctl -- del), or keep fewer revisions (--keep)"})
		}
	}
	those := slices.DeleteFunc(all, func(s served) bool { return s.member == nil || s.Learner })
	if !b.interruptible(those) {
		return nil, false
	}
	for _, s := range those {
		b.lacksRoom(s)
	}
	if len(b.plan.Held) > held {
		return nil, false
	}
	if id := b.compact(keep, true); id != "" {
		needs = append(needs, id)
	}
	rule := reclaimRule
	for _, s := range cramped {
		if at := int64(roomy * float64(d.QuotaOf(*s.status))); rule.Cramped == 0 || at < rule.Cramped {
			rule.Cramped = at
		}
	}
	return append(needs, b.defragment(those, &rule, needs...)...), true
}
