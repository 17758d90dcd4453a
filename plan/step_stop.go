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

// Kind of the step.
func (*Stop) Kind() Kind { return KindStop }

func (b *builder) stop() {
	a := &Stop{Wait: startWait}
	var names []string
	for _, m := range b.leaderLast(b.acting) {
		if u := b.obs.Hosts[m.Name].Unit; u.Loaded && (u.Enabled || u.Active != "inactive") {
			a.Members = append(a.Members, StartMember{Member: m.Name, Unit: b.layout[m.Name].Unit})
			names = append(names, m.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	before := b.now
	b.now.Healthy = 0
	b.add(Step{
		Kind: KindStop, subject: strings.Join(names, ","),
		Title:  "stop " + strings.Join(names, ", ") + " and do not start them at boot",
		Quorum: Effect{Before: before, During: b.now, After: b.now},
		Action: a,
	})
}
