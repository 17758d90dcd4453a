package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
)

// ailment is why a member does not serve, where a start would help.
type ailment struct {
	why string
	// restart: a process is there that has to go first.
	restart bool
	// waits: nothing is wrong with it; it only waits for its peers, or is still starting.
	waits bool
}

// youngStart is how long a member that is starting is given before it counts
// as hanging: an election takes a second or two, replaying the WAL of a full
// 8 GiB database some tens of seconds on a slow disk.
const youngStart = 2 * time.Minute

// servable finds out of each member that does not serve whether a start would
// bring it back. What a start cannot cure is held with what is known of it:
// nobody says "no changes" over a member that does not serve.
func (b *builder) servable() {
	for _, m := range b.seen() {
		if m.want != nil {
			m.stale = b.staleness(m)
			b.renames(m)
		}
		if m.healthy() || !m.may.start || m.joins {
			continue
		}
		m.ails = b.diagnose(m)
	}
	// Waiting alone brings nobody a quorum: if nobody is to be started, and they have waited long, that is held.
	if b.plan.Before.Writable() || slices.ContainsFunc(b.members, func(m *member) bool { return m.ails != nil && !m.ails.waits }) {
		return
	}
	for _, m := range b.members {
		if m.ails != nil && b.waited(m) > youngStart {
			b.notServing(m, "it waits for a quorum since "+round(b.waited(m)).String(),
				"see that the members reach each other on their peer ports (firewall, routes, addresses), then run again")
			m.ails = nil
		}
	}
}

// diagnose is the ailment of one member, or nil and something held.
//
// A process that the service manager calls active has served, and may be a
// voter that only we cannot ask: unknown is not dead. It is restarted only if
// it runs with something else than it should and the voters known to be healthy,
// none of which this step touches, are a quorum by themselves.
func (b *builder) diagnose(m *member) *ailment {
	u := m.host.Unit
	problem := or(m.answer.Problem, "nobody could ask it")
	changes := b.changes(m)
	switch {
	case b.movable(m) && !b.awaitsQuorum(m):
		return &ailment{why: m.Name + " " + m.goes(), restart: m.host.Unit.Running()}
	case m.old != "":
		return &ailment{why: m.Name + " begins anew, since its data goes aside"}
	case !u.Running():
		return &ailment{why: fmt.Sprintf("%s is %s", m.Name, or(u.Active, "not there yet"))}
	case u.Looping() && changes:
		return &ailment{why: fmt.Sprintf("%s does not come up, and what it starts from changes", m.Name), restart: true}
	case u.Looping():
		b.notServing(m, "its process keeps ending; its log says: "+or(u.Cause, "nothing that names a cause"), "remove that cause on its host, then apply again")
		return nil
	case u.Active != "active" && len(m.stale) > 0:
		return &ailment{why: fmt.Sprintf("%s does not serve and %s", m.Name, strings.Join(m.stale, ", ")), restart: true}
	case u.Active != "active" && b.waited(m) > youngStart && b.plan.Before.Writable():
		b.notServing(m, "it is starting since "+round(b.waited(m)).String()+", and the others are a quorum", "look at its log on the host: "+or(u.Cause, problem))
		return nil
	case u.Active != "active" && b.plan.Before.Writable():
		return &ailment{why: m.Name + " is still starting", waits: true}
	case u.Active != "active", m.answer.Asked == NoLeader && len(m.stale) == 0, b.awaitsQuorum(m):
		return &ailment{why: m.Name + " waits for a quorum", waits: true}
	case len(m.stale) > 0 && b.plan.Before.Writable():
		return &ailment{why: fmt.Sprintf("%s does not serve and %s", m.Name, strings.Join(m.stale, ", ")), restart: true}
	case m.may.sign && b.unsigned(m) != nil:
		return &ailment{why: m.Name + " could not be asked, and gets new certificates", waits: true}
	case len(m.stale) > 0:
		b.hold(Held{Reason: ClusterUnknown, Subject: m.Name,
			Detail: fmt.Sprintf("it %s; it runs and could not be asked (%s), and without it %s known to be healthy: a restart may take the quorum away",
				strings.Join(m.stale, ", "), problem, english.Plural(b.plan.Before.Healthy, "voter is", "voters are")),
			WayOut: "find out why it does not answer (its log, `quorate status`), then apply again"})
		m.may.push, m.may.stage = false, false
		return nil
	case m.listed.Health == HealthUnknown:
		b.hold(Held{Reason: ClusterUnknown, Subject: m.Name, Detail: "it runs, and whether it serves is not known: " + problem,
			WayOut: "find out why it could not be asked, then run again"})
		return nil
	}
	b.notServing(m, "it runs and does not answer: "+problem, "look at its log on the host; if it hangs, restart it there: systemctl restart "+m.layout.Unit)
	return nil
}

// awaitsQuorum reports whether a member has served and lacks nothing but a quorum: it comes back with the others, and is
// restarted then, if it has to be.
func (b *builder) awaitsQuorum(m *member) bool {
	return m.host.Unit.Active == "active" && m.answer.Asked == NoLeader && !b.plan.Before.Writable()
}

func (b *builder) notServing(m *member, what, wayOut string) {
	if !b.stands(guardServing) {
		return
	}
	b.hold(Held{Reason: NotServing, Subject: m.Name, Detail: fmt.Sprintf("%s. Its unit is %s", what, m.host.Unit), WayOut: wayOut})
}

// waited is how long a member has been in its present state; 0: unknown.
func (b *builder) waited(m *member) time.Duration {
	if m.host.Unit.Since.IsZero() {
		return 0
	}
	return b.opt.Now.Add(m.host.ClockOffset).Sub(m.host.Unit.Since)
}

// changes reports whether this plan changes what a member starts from.
func (b *builder) changes(m *member) bool {
	if m.may.sign && b.unsigned(m) != nil {
		return true
	}
	files, _ := b.unwritten(m)
	return m.may.stage && (files != nil || len(b.lacking(m)) > 0)
}

// renames says of a member that gets another name what it is, or holds it where a restart would not do that: it
// runs with that name already, and has told the cluster another one.
func (b *builder) renames(m *member) {
	switch {
	case !m.renamed() || !m.healthy():
	case len(m.stale) > 0:
		m.stale = append(m.stale, fmt.Sprintf("is listed as %q", m.listed.Name))
	case m.host.Unit.ConfigDigest == m.want.config:
		b.hold(Held{Reason: Renamed, Subject: m.Name, Detail: fmt.Sprintf("it runs with the spec's configuration, and the cluster lists it as %q", m.listed.Name),
			WayOut: "run again in a moment; if it stays, restart it on its host: systemctl restart " + m.layout.Unit})
	}
}

// renamed reports whether the cluster lists a member under another name than the spec's.
func (m *member) renamed() bool { return m.in && m.listed.Name != "" && m.listed.Name != m.Name }

// staleness says how what a member runs with differs from what it should run
// with. What could not be read is unknown, not different.
func (b *builder) staleness(m *member) []string {
	u := m.host.Unit
	if u.PID == 0 {
		return nil
	}
	var out []string
	if len(m.moves) > 0 {
		out = append(out, m.goes())
	}
	if m.readdressed {
		out = append(out, fmt.Sprintf("is listed at %s, and is to be at %s", strings.Join(m.listed.PeerURLs, ", "), peerURL(m.Member)))
	}
	if u.ExeDigest != "" && u.ExeDigest != m.want.exe {
		out = append(out, fmt.Sprintf("runs another binary (%s instead of %s)", short(u.ExeDigest), short(m.want.exe)))
	}
	if u.ConfigDigest != "" && u.ConfigDigest != m.want.config {
		out = append(out, fmt.Sprintf("runs with another configuration (%s instead of %s)", short(u.ConfigDigest), short(m.want.config)))
	}
	return out
}
