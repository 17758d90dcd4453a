package plan

import (
	"fmt"
	"slices"
	"strings"

	"quorate/kvserver"
)

// raised are the members that a kind of alarm was seen for, by name. An alarm
// is the cluster's, and every member lists all of them; the ones that name it are enough to know.
func (b *builder) raised(alarm string) []string {
	return memberNames(b.those(func(m *member) bool {
		return m.answer.Status != nil && slices.Contains(m.answer.Status.Alarms, alarm)
	}))
}

// alarms holds what an alarm forbids, so that "no changes" is never said over one.
func (b *builder) alarms() {
	if who := b.raised(kvserver.AlarmCorrupt); len(who) > 0 {
		b.corrupt(who)
	}
	if who := b.raised(kvserver.AlarmNoSpace); len(who) > 0 {
		b.hold(Held{Reason: NoSpace, Subject: b.spec.Name,
			Detail: fmt.Sprintf("the alarm NOSPACE stands (%s): the database has reached its quota, and writes are refused", strings.Join(who, ", ")),
			WayOut: "quorate alarm disarm compacts, defragments and ends it; where that frees too little, raise quota_backend_bytes and apply before"})
	}
}

// corrupt holds the cluster over the alarm CORRUPT, which nothing of quorate disarms.
func (b *builder) corrupt(who []string) {
	b.hold(Held{Reason: Corrupt, Subject: b.spec.Name,
		Detail: fmt.Sprintf("the alarm CORRUPT stands (%s): writes are refused, and a member's data differs from the others'. Nothing that takes a voter away is planned", strings.Join(who, ", ")),
		WayOut: "quorate status --hash names the member whose data differs; take a backup of one of the others, replace that member, then: quorate ctl -- alarm disarm"})
}

// alarmed refuses restarts over an alarm: with CORRUPT the healthy-looking
// voter may be the bad copy; with NOSPACE only the change of the quota may roll.
func (b *builder) alarmed(stale []*member) (Held, bool) {
	if len(b.raised(kvserver.AlarmCorrupt)) > 0 {
		return Held{Reason: Corrupt, Detail: "a restart is due, and the alarm CORRUPT stands: the voter that is left may be the bad copy",
			WayOut: "resolve the alarm first, then apply again"}, true
	}
	if len(b.raised(kvserver.AlarmNoSpace)) > 0 && slices.ContainsFunc(stale, func(m *member) bool { return !b.onlyQuota(m) }) {
		return Held{Reason: NoSpace, Detail: "a restart is due for more than a change of quota_backend_bytes, and the alarm NOSPACE stands",
			WayOut: "change nothing but the quota, or resolve the alarm first, then apply again"}, true
	}
	return Held{}, false
}

// onlyQuota reports whether a member's configuration changes in the quota and nothing else.
func (b *builder) onlyQuota(m *member) bool {
	if len(b.lacking(m)) > 0 {
		return false
	}
	for _, f := range m.want.files {
		if f.Dir || m.host.Files[f.Path].Digest == digest(f.Content) {
			continue
		}
		if f.Path != m.layout.EtcdYAML || withoutQuota(string(m.host.Files[f.Path].Content)) != withoutQuota(f.Content) {
			return false
		}
	}
	return true
}

func withoutQuota(config string) string {
	lines := slices.DeleteFunc(strings.Split(config, "\n"), func(l string) bool { return strings.HasPrefix(l, "quota-backend-bytes:") })
	return strings.Join(lines, "\n")
}
