package plan

import (
	"path"

	"quorate/plan/spec"
)

// BuildDestroy plans the removal of everything that apply made: units, files,
// binaries, data (or moves it aside, Options.KeepData), CA and client
// certificates. Data that this cluster did not make is held, never removed.
func BuildDestroy(c *spec.Cluster, o *Observed, opt Options) (*Plan, error) {
	b, err := begin(Destroy, c, o, opt)
	if err != nil {
		return nil, err
	}
	seen := b.seen()
	b.voters(seen)
	for _, m := range seen {
		h, l := o.Hosts[m.Name], b.layout[m.Name]
		if h.Manifest != nil {
			b.formed = b.formed || h.Manifest.Formed
		}
		mine := h.Manifest != nil && h.Manifest.Cluster == c.Name && h.Manifest.DataDir == l.Data && h.Manifest.WALDir == l.WAL
		if h.hasData() && !mine && !b.proven(m) {
			b.hold(Held{Reason: DataExists, Subject: m.Name,
				Detail: l.dataPaths() + " holds data of an etcd member that this cluster did not make",
				WayOut: "look at it and move it aside by hand, then destroy again"})
			continue
		}
		b.acting = append(b.acting, m)
	}
	b.plan.Situation = Running
	if b.plan.Before.Healthy == 0 {
		b.plan.Situation = Stopped
	}
	if !b.blocked() {
		b.stop()
		for _, m := range b.acting {
			b.remove(m)
		}
		// The CA goes last and only if nothing is left behind that would need it.
		if len(b.plan.Held) == 0 {
			b.forget()
		}
		if b.ids(KindRemove) != nil && !local(c.Members[0]) {
			b.note("the system account %s stays on the hosts: other clusters may use it", c.Server.User)
		}
	}
	return b.finish()
}

func parent(p string) string { return path.Dir(p) }
