package plan

import (
	"fmt"
	"path"
	"slices"

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
	b.history()
	b.unreachable(true)
	for _, m := range b.seen() {
		man := m.host.Manifest
		mine := man != nil && man.Cluster == c.Name && man.DataDir == m.layout.Data && man.WALDir == m.layout.WAL
		if m.host.Former.holds() {
			b.hold(Held{Reason: DataMoved, Subject: m.Name,
				Detail: fmt.Sprintf("the member's data is in %s, the spec says %s", man.dataPaths(), m.layout.dataPaths()),
				WayOut: "put the former data_dir and wal_dir back into the spec, or apply first"})
			continue
		}
		if m.hasData() && !mine && !b.proven(m) {
			b.hold(Held{Reason: DataExists, Subject: m.Name,
				Detail: m.layout.dataPaths() + " holds data of an etcd member that this cluster did not make",
				WayOut: "look at it and move it aside by hand, then destroy again"})
			continue
		}
		if unfit := m.unusable(m.left()); len(unfit) > 0 {
			for _, h := range unfit {
				b.hold(h)
			}
			continue
		}
		m.may = everything()
	}
	b.abandoned()
	b.plan.Situation = Running
	if b.plan.Before.Healthy == 0 {
		b.plan.Situation = Stopped
	}
	if b.plan.Blocked() {
		return b.finish()
	}
	b.unrecord()
	b.stop(b.acting()...)
	removes := 0
	for _, m := range b.acting() {
		before := len(b.steps)
		b.remove(m)
		removes += len(b.steps) - before
	}
	b.uninstall()
	// The CA goes last and only if nothing is left behind that would need it.
	if len(b.plan.Held) == 0 {
		b.forget()
	}
	if removes > 0 && !local(c.Members[0]) {
		b.note("the system account %s stays on the hosts: what is left there may belong to it", b.user)
	}
	return b.finish()
}

// left are the folders on whose file systems something is left to be removed, and the lock's.
func (m *member) left() []string {
	l := m.layout
	out := []string{path.Dir(l.Lock)}
	for dir, p := range map[string]string{l.Config: l.Config, l.Bin: l.Bin, path.Dir(l.UnitFile): l.UnitFile, l.Data: l.Data, l.WAL: l.WAL} {
		if m.host.Files[p].Exists {
			out = append(out, dir)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// abandoned holds the destruction of a cluster that was formed and that no host
// knows: with a wrong address in the spec, what is left to remove is the CA of a
// cluster that lives. Asked to forget, what this side holds is moved aside.
func (b *builder) abandoned() {
	r := b.obs.Recorded
	if r == nil || b.opt.Forget {
		return
	}
	for _, m := range b.members {
		if h := m.host; h.Problem != "" || h.Manifest != nil || h.Mark != nil || m.hasData() {
			return
		}
	}
	b.hold(Held{Reason: ClusterGone, Subject: b.spec.Name, Blocks: true,
		Detail: fmt.Sprintf("cluster %q was formed as %s with %s, and none of the spec's hosts knows it: its CA may be the one of a cluster that lives elsewhere", b.spec.Name, r.ClusterID, r.Names()),
		WayOut: "put the right addresses into the spec; if that cluster is gone for good, `quorate destroy --forget` moves its CA and what was noted down aside"})
}
