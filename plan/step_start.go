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
	a := &Start{Bootstrap: b.plan.Situation == Absent || b.plan.Situation == Forming, Voters: len(b.spec.Members), Wait: startWait}
	var names, why []string
	var needs []string
	for _, m := range b.acting {
		h := b.obs.Hosts[m.Name]
		if b.obs.Cluster.Healthy[m.Name] {
			continue
		}
		sm := StartMember{Member: m.Name, Unit: b.layout[m.Name].Unit}
		switch stale := b.stale(m); {
		case !h.Unit.Running():
			why = append(why, fmt.Sprintf("%s is %s", m.Name, or(h.Unit.Active, "not there yet")))
		case len(stale) > 0:
			sm.Restart = true
			why = append(why, fmt.Sprintf("%s does not serve and %s", m.Name, strings.Join(stale, ", ")))
		case h.Unit.Active == "active" || b.obs.Cluster.Problems[m.Name] == "":
			continue // runs, and nothing that a start could mend
		default:
			why = append(why, fmt.Sprintf("%s waits for a quorum", m.Name))
		}
		a.Members = append(a.Members, sm)
		names = append(names, m.Name)
		needs = append(needs, b.idsOf(m.Name, KindPush, KindFiles, KindCertificate)...)
	}
	// Members that wait for a quorum are only waited for; without one to start there is nothing to do.
	if !slices.ContainsFunc(a.Members, func(s StartMember) bool { return s.Restart || !b.obs.Hosts[s.Member].Unit.Running() }) {
		return
	}
	verb, before := "start", b.now
	if a.Bootstrap {
		verb = "bootstrap with"
		before.Total = 0
		if len(b.obs.Cluster.Members) > 0 {
			before.Total = b.now.Total
		}
	} else if b.plan.Situation == Stopped {
		verb = "start the stopped cluster:"
	}
	b.now = b.now.Up(len(names))
	b.add(Step{
		Kind: KindStart, subject: strings.Join(names, ","), Reasons: why, Needs: needs,
		Title:  verb + " " + strings.Join(names, ", "),
		Quorum: Effect{Before: before, During: before, After: b.now},
		Action: a,
	})
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
