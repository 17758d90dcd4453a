package plan

import "quorate/plan/spec"

// BuildDestroy plans the removal of everything that apply made: units, files,
// binaries, data (or moves it aside, Options.KeepData), CA and client
// certificates. Data that this cluster did not make is held, never removed.
func BuildDestroy(c *spec.Cluster, o *Observed, opt Options) (*Plan, error) {
	b, err := begin(Destroy, c, o, opt)
	if err != nil {
		return nil, err
	}
	b.history()
	b.unreachable(true)
	for _, m := range b.seen() {
		man := m.host.Manifest
		mine := man != nil && man.Cluster == c.Name && man.DataDir == m.layout.Data && man.WALDir == m.layout.WAL
		if m.hasData() && !mine && !b.proven(m) {
			b.hold(Held{Reason: DataExists, Subject: m.Name,
				Detail: m.layout.dataPaths() + " holds data of an etcd member that this cluster did not make",
				WayOut: "look at it and move it aside by hand, then destroy again"})
			continue
		}
		m.may = grants{stage: true, sign: true, start: true, roll: true}
	}
	b.plan.Situation = Running
	if b.plan.Before.Healthy == 0 {
		b.plan.Situation = Stopped
	}
	if b.plan.Blocked() {
		return b.finish()
	}
	b.stop()
	removes := 0
	for _, m := range b.acting() {
		before := len(b.steps)
		b.remove(m)
		removes += len(b.steps) - before
	}
	// The CA goes last and only if nothing is left behind that would need it.
	if len(b.plan.Held) == 0 {
		b.forget()
	}
	if removes > 0 && !local(c.Members[0]) {
		b.note("the system account %s stays on the hosts: other clusters may use it", c.Server.User)
	}
	return b.finish()
}
