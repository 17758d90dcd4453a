package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quorate/plan/spec"
)

// KindStart starts members that do not serve.
const KindStart Kind = "start"

// Start starts members together and waits until each of them serves. Together,
// because a member is ready only once a quorum is there: starting one and
// waiting for it would wait for ever. Holds afterwards: every member listed
// answers a linearizable read and is a voter of the same cluster.
type Start struct {
	Members []StartMember `json:"members"`
	// Bootstrap: the cluster is formed by this start.
	Bootstrap bool `json:"bootstrap,omitempty"`
	// Voters is how many the cluster must list afterwards.
	Voters int `json:"voters"`
	// Wait bounds the whole step.
	Wait time.Duration `json:"wait"`
}

// StartMember is one unit to start.
type StartMember struct {
	Member string `json:"member"`
	Unit   string `json:"unit"`
	// Restart a process that is there and does not serve, since what it was started with has changed.
	Restart bool `json:"restart,omitempty"`
}

// Kind of the step.
func (*Start) Kind() Kind { return KindStart }

// startWait bounds a start: an election takes about a second, replaying a WAL
// of a full 8 GiB database some tens of seconds on a slow disk; five minutes
// are what kubespray and etcd-druid allow.
const startWait = 5 * time.Minute

// start starts what is down. It repairs, so it may run with fewer healthy
// voters than a quorum; it takes no healthy voter away.
func (b *builder) start() {
	a := &Start{Bootstrap: b.plan.Situation == Absent || b.plan.Situation == Forming, Voters: max(b.now.Total, 1), Wait: startWait}
	if a.Bootstrap {
		a.Voters = len(b.spec.Members)
	}
	var names, why, needs []string
	for _, m := range b.acting {
		if b.obs.Cluster.Healthy[m.Name] {
			continue
		}
		reason, restart := b.mendable(m)
		if reason == "" {
			continue
		}
		a.Members = append(a.Members, StartMember{Member: m.Name, Unit: b.layout[m.Name].Unit, Restart: restart})
		names, why = append(names, m.Name), append(why, reason)
		needs = append(needs, b.idsOf(m.Name, KindPush, KindFiles, KindCertificate)...)
	}
	// Members that wait for a quorum are only waited for; without one to start there is nothing to do.
	if !slices.ContainsFunc(a.Members, func(s StartMember) bool { return s.Restart || !b.obs.Hosts[s.Member].Unit.Running() }) {
		return
	}
	verb, before := "start", b.now
	switch {
	case a.Bootstrap:
		verb = "bootstrap with"
	case b.plan.Situation == Stopped:
		verb = "start the stopped cluster:"
	}
	b.now.Total = max(b.now.Total, a.Voters)
	b.now = b.now.Up(len(names))
	b.add(Step{
		Kind: KindStart, subject: strings.Join(names, ","), Reasons: why, Needs: needs,
		Title:  verb + " " + strings.Join(names, ", "),
		Quorum: Effect{Before: before, During: before, After: b.now},
		Action: a,
	})
	for _, sm := range a.Members {
		b.served[sm.Member] = !sm.Restart && b.obs.Hosts[sm.Member].Unit.Running()
	}
}

// mendable says why a start would bring a member back that does not serve, and
// whether its process has to go first. "" for a member that a start cannot mend.
//
// A process that the service manager calls active has served, and may be a
// voter that only we cannot ask: unknown is not dead. It is restarted only if
// it runs with something else than it should and the voters known to be healthy,
// none of which this step touches, are a quorum by themselves.
func (b *builder) mendable(m *spec.Member) (reason string, restart bool) {
	h := b.obs.Hosts[m.Name]
	if !h.Unit.Running() {
		return fmt.Sprintf("%s is %s", m.Name, or(h.Unit.Active, "not there yet")), false
	}
	stale := b.stale(m)
	if b.waits(m) && (len(stale) == 0 || h.Unit.Active == "active") {
		return m.Name + " waits for a quorum", false
	}
	problem := or(b.obs.Cluster.Problems[m.Name], "nobody could ask it")
	switch {
	case len(stale) > 0 && (h.Unit.Active != "active" || b.plan.Before.Writable()):
		return fmt.Sprintf("%s does not serve and %s", m.Name, strings.Join(stale, ", ")), true
	case len(stale) > 0:
		b.hold(Held{Reason: ClusterUnknown, Subject: m.Name,
			Detail: fmt.Sprintf("it %s; it runs and could not be asked (%s), and without it %s are known to be healthy: a restart may take the quorum away",
				strings.Join(stale, ", "), problem, plural(b.plan.Before.Healthy, "voter", "voters")),
			WayOut: "find out why it does not answer (its log, `quorate status`), then apply again"})
	default:
		b.note("%s runs and does not answer: %s", m.Name, problem)
	}
	return "", false
}

// waits reports whether a member that runs only lacks its peers: it is still
// starting, or says itself that it knows no leader.
func (b *builder) waits(m *spec.Member) bool {
	st, answered := b.obs.Cluster.Status[m.Name]
	return answered && st.Leader == 0 || !answered && b.obs.Hosts[m.Name].Unit.Active == "activating"
}

// stale says how what a member runs with differs from what it should run with.
func (b *builder) stale(m *spec.Member) []string {
	u, want := b.obs.Hosts[m.Name].Unit, b.want[m.Name]
	if u.PID == 0 {
		return nil
	}
	var out []string
	if u.ExeDigest != "" && u.ExeDigest != want.exe {
		out = append(out, fmt.Sprintf("runs another binary (%s instead of %s)", short(u.ExeDigest), short(want.exe)))
	}
	if u.ConfigDigest != want.config {
		out = append(out, fmt.Sprintf("runs with another configuration (%s instead of %s)", short(u.ConfigDigest), short(want.config)))
	}
	return out
}
