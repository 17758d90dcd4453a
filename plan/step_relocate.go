package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"

	"quorate/kvserver/node"
)

// KindRelocate moves a member's data to the folders that the spec names.
const KindRelocate Kind = "relocate"

// Relocate stops a member, moves its data and its log, and has it serve from
// there. What is on the same file system is renamed; the rest is copied, and
// what it was copied from is kept aside in its own folder. Between the two there
// is nothing to start from: a host that boots then does not start its member as
// new, since it knows that it has served ([Layout.Mark]). Holds afterwards: each
// tree has its new name and no other; and what Restart says, if it is set.
type Relocate struct {
	Unit string `json:"unit"`
	// Moves in their order. Those that an earlier, interrupted run has done are not among them.
	Moves []TreeMove `json:"moves"`
	// Keep is the folder below .aside for what copies are made from.
	Keep string `json:"keep"`
	// Restart is what the step is to the cluster, where the member serves; nil: it does not, and a start follows.
	Restart *Restart `json:"restart,omitempty"`
	// Update, whose own Restart is nil, comes before it, where the member's address changes too.
	Update *Update `json:"update,omitempty"`
}

// TreeMove is a tree that gets another name.
type TreeMove struct {
	From node.Tree `json:"from"`
	To   node.Tree `json:"to"`
	// Copied: the two are on different file systems, as far as could be seen.
	Copied bool `json:"copied,omitempty"`
	// Bytes is what a copy takes, 0 if it is not known. It is for people who read the plan now: it moves by itself, and
	// a plan that was saved is no other one for that (see [Plan.Again]).
	Bytes int64 `json:"-"`
	// Whole: an earlier run has made the copy, and nothing but its name is missing.
	Whole bool `json:"whole,omitempty"`
}

// SeenMove is a move, and how far it is. Both of the names are never there by our doing.
type SeenMove struct {
	TreeMove
	Here  bool // under its former name
	There bool // under the one that it is to have
	Waits bool // a copy that is whole but for its name: see [node.Tree.Whole]
}

// Former is what was seen of where a member's data lay, where its manifest names other folders than the spec.
type Former struct {
	Data, WAL node.DirState
	// Moves are those of [Layout.Moves].
	Moves []SeenMove
}

// holds reports whether something of the member's is not where the spec wants it.
func (f *Former) holds() bool {
	return f != nil && slices.ContainsFunc(f.Moves, func(m SeenMove) bool { return m.Here || m.Waits })
}

// Aside are the folders with what was moved aside there, absolute paths.
func (f *Former) Aside() []string {
	if f == nil {
		return nil
	}
	return slices.Concat(f.Data.Aside, f.WAL.Aside)
}

// unfinished reports whether something is left to be done, or not all of it is where it should be by now.
func (f *Former) unfinished() bool {
	if f == nil || f.holds() {
		return f != nil
	}
	arrived := func(m SeenMove) bool { return m.There }
	return slices.ContainsFunc(f.Moves, arrived) && slices.ContainsFunc(f.Moves, func(m SeenMove) bool { return !arrived(m) })
}

// Moves are what brings a member's data from the folders given to where the
// layout has it, in this order. A log that gets a folder of its own leaves before
// the data does, and one that comes back to the data comes after it.
func (l Layout) Moves(dataDir, walDir string) []TreeMove {
	log := func(data, wal string) node.Tree {
		if wal == "" {
			return node.Tree{Dir: data, Name: "member/wal"}
		}
		return node.Tree{Dir: wal, Name: "wal"}
	}
	var out []TreeMove
	if dataDir != l.Data {
		out = append(out, TreeMove{From: node.Tree{Dir: dataDir, Name: "member"}, To: node.Tree{Dir: l.Data, Name: "member"}})
	}
	m := TreeMove{From: log(dataDir, walDir), To: log(l.Data, l.WAL)}
	switch {
	case m.From == m.To || walDir == "" && l.WAL == "": // it stays, or goes with the data
	case l.WAL != "":
		out = append([]TreeMove{m}, out...)
	default:
		out = append(out, m)
	}
	return out
}

// Kind of the step.
func (*Relocate) Kind() Kind { return KindRelocate }

// Phase of the step: a member that serves is taken away for it; of one that does not, it comes before the start.
func (a *Relocate) Phase() Phase {
	if a.Restart == nil {
		return PhaseStop
	}
	return a.Restart.Phase()
}

// Exclusive where the member serves.
func (a *Relocate) Exclusive() bool { return a.Restart != nil }

// Hosts are none beside the step's own.
func (*Relocate) Hosts() []string { return nil }

// Effect is the restart's.
func (a *Relocate) Effect(member string, now Membership) (during, after Membership, err error) {
	if a.Restart == nil {
		return now, now, nil
	}
	if a.Update != nil {
		if _, now, err = a.Update.Effect(member, now); err != nil {
			return now, now, err
		}
	}
	return a.Restart.Effect(member, now)
}

// Describe names what goes where, and how.
func (a *Relocate) Describe() Description {
	d := Description{Sign: Changed}
	for _, m := range a.Moves {
		how := "renamed"
		switch {
		case m.Whole:
			how = "an earlier run has copied it, and kept what was there"
		case m.Copied:
			how = "copied"
			if m.Bytes > 0 {
				how += ", " + mib(m.Bytes+1<<20-1)
			}
			how += "; what is there now is kept in " + path.Join(m.From.Dir, ".aside", a.Keep)
		}
		d.Items = append(d.Items, Item{Path: m.From.Path(), Sign: Changed, Problem: "moves to " + m.To.Path(), Note: how})
	}
	if a.Update != nil {
		d.Items = append(d.Items, a.Update.Describe().Items...)
	}
	return d
}

// moves finds out what is left to move of a member's data, or holds the member.
func (b *builder) moves(m *member, stop func(r Reason, detail, wayOut string)) {
	h, l, man := m.host, m.layout, m.host.Manifest
	former := man.dataPaths()
	back := "put the former data_dir and wal_dir back into the spec"
	switch {
	case !b.formed:
		stop(DataMoved, fmt.Sprintf("a bootstrap was begun with the data in %s, the spec says %s", former, l.dataPaths()), back+" until the cluster has formed")
		return
	case h.Mark == nil:
		stop(DataMoved, fmt.Sprintf("the member's data is in %s, the spec says %s, and its host has not noted that it has served: nothing would keep it from starting as new on an empty folder", former, l.dataPaths()),
			back+" and apply; the host notes it once the member is ready")
		return
	case !m.healthy() && h.Unit.Active == "active" && !b.awaitsQuorum(m):
		stop(NotServing, fmt.Sprintf("its data is to move from %s to %s, and it runs and could not be asked: %s", former, l.dataPaths(), or(m.answer.Problem, "it does not serve")),
			"find out why it does not answer (its log, `quorate status`), then apply again")
		return
	}
	var left []TreeMove
	for _, s := range h.Former.Moves {
		t := s.TreeMove
		t.Copied = !h.sameMount(t.From.Dir, t.To.Dir)
		switch {
		case s.Here && s.There:
			stop(DataExists, fmt.Sprintf("the member's data is to move from %s to %s, and both are there: which of them counts is not known", t.From.Path(), t.To.Path()),
				"find out which one is the member's (kvserver inspect says what a data directory holds) and move the other aside, then apply again")
			return
		case s.There:
		case s.Here:
			if in := b.strangers(m, t.To.Dir); in != "" {
				stop(FolderInUse, fmt.Sprintf("the member's data is to move to %s, which is not empty: %s", t.To.Dir, in),
					"give the member a folder of its own (one that does not exist, or an empty one)")
				return
			}
			left = append(left, t)
		case s.Waits:
			t.Copied, t.Bytes, t.Whole = true, 0, true
			left = append(left, t)
		default:
			stop(DataLost, fmt.Sprintf("the member's data is to move from %s to %s, and is at neither of them", t.From.Path(), t.To.Path()),
				"put its data back if it was moved, or mount its file system, then apply again")
			return
		}
	}
	if detail := h.tooFull(left); detail != "" {
		stop(DiskFull, detail, "free some space there, or take a larger file system; nothing has been touched")
		return
	}
	m.moves = left
}

// sameMount reports whether two folders are known to be on one file system.
func (h *Host) sameMount(a, b string) bool {
	x, y := h.Mounts[a], h.Mounts[b]
	return x.Known && y.Known && x.Point == y.Point
}

// strangers is what is in a folder that a tree is to go to, and is neither quorate's nor etcd's; "" for nothing.
func (b *builder) strangers(m *member, dir string) string {
	switch {
	case dir == m.host.Manifest.DataDir || dir == m.host.Manifest.WALDir: // it is the member's already
		return ""
	case dir == m.layout.Data:
		return b.foreign(m.host.Data)
	}
	return b.foreign(m.host.WAL)
}

// tooFull says of which file system there is not enough room on for the copies, "" if there is on all, or
// nobody knows.
func (h *Host) tooFull(moves []TreeMove) string {
	need, dirs := map[string]int64{}, map[string]string{} // by mount point
	for _, m := range moves {
		if m.Copied && m.Bytes > 0 {
			point := or(h.Mounts[m.To.Dir].Point, m.To.Dir)
			need[point] += m.Bytes
			dirs[point] = m.To.Dir
		}
	}
	for _, point := range sortedKeys(need) {
		if free, ok := h.Space[dirs[point]]; ok && free < need[point]+minDataSpace {
			return fmt.Sprintf("%s has %s free; %s of the member's data are to be copied there, and %s must be left for it to go on",
				dirs[point], mib(free), mib(need[point]), mib(minDataSpace))
		}
	}
	return ""
}

// movable reports whether a member's data may be moved by this plan: then what it starts from names the new folders.
func (b *builder) movable(m *member) bool {
	return len(m.moves) > 0 && (m.may.stage || !b.restages(m))
}

// relocateStopped moves the data of a member that does not run and is started by this plan.
func (b *builder) relocateStopped(m *member) {
	if m.ails != nil && !m.ails.waits && m.may.start && b.movable(m) {
		b.relocate(m, nil, m.ails.why)
	}
}

// relocate adds the step: r is what it is to the cluster, nil where the member does not serve.
func (b *builder) relocate(m *member, r *Restart, why ...string) {
	var to []string
	for _, t := range m.moves {
		if !slices.Contains(to, t.To.Dir) {
			to = append(to, t.To.Dir)
		}
	}
	var u *Update
	if r != nil {
		b.stageLate(m)
		if m.readdressed {
			u = b.updateOf(m, nil)
		}
	}
	b.add(draft{Step: Step{
		Member: m.Name, Reasons: why,
		Title:  fmt.Sprintf("move the data of %s to %s", m.Name, english.OxfordWordSeries(to, "and")),
		Action: &Relocate{Unit: m.layout.Unit, Moves: m.moves, Keep: b.asideName(), Restart: r, Update: u},
	}})
}

func (m *Manifest) dataPaths() string { return Layout{Data: m.DataDir, WAL: m.WALDir}.dataPaths() }

// stageLate has the configuration that names the new folders reach a host only once the member before it serves from
// its own: until its data has moved, a host that boots does not start its member, and that may be one at a time.
func (b *builder) stageLate(m *member) {
	if !b.stands(guardLate) {
		return
	}
	for _, before := range slices.Backward(b.steps) {
		if !before.Action.Exclusive() {
			continue
		}
		for i, s := range b.steps {
			if p := s.Action.Phase(); s.Member == m.Name && (p == PhaseStage || p == PhaseSign) {
				b.steps[i].after = append(b.steps[i].after, before.ID)
			}
		}
		return
	}
}

// settles has the manifest name the folders where a member's data is once the steps so far are done, and remember those
// where something of it may be kept aside.
func (b *builder) settles(m *member, want, have *Manifest) {
	moved := slices.ContainsFunc(b.steps, func(s draft) bool { return s.Member == m.Name && s.Kind == KindRelocate })
	want.Former = have.Former
	if !m.may.stage {
		want.Made = have.Made
	}
	if !m.may.stage || len(m.moves) > 0 && !moved {
		want.DataDir, want.WALDir = have.DataDir, have.WALDir
		return
	}
	want.Former = slices.Concat(have.Former, []string{have.DataDir, have.WALDir})
	slices.Sort(want.Former)
	want.Former = slices.DeleteFunc(slices.Compact(want.Former), func(dir string) bool {
		return dir == "" || dir == want.DataDir || dir == want.WALDir
	})
}

// goes says where data of a member is to be that is yet to move.
func (m *member) goes() string {
	return "is to have its data in " + strings.Join(texts(m.moves, func(t TreeMove) string { return t.To.Path() }), " and ")
}
