package plan

import (
	"path"
	"slices"

	"quorate/kvserver"
	"quorate/kvserver/node"
)

// KindSwap puts a member's new data in the place of the old one.
const KindSwap Kind = "swap"

// Swap moves a member's old data aside, inside its own folders, and renames the staged data into its place; the
// member is stopped. With Back it is the other way round: the new data goes aside, and the old one comes back. Holds
// afterwards: what is in the place is the one, and the other is kept below .aside. Nothing is deleted.
type Swap struct {
	quiet
	Unit string `json:"unit"`
	Back bool   `json:"back,omitempty"`
	// Trees in the order in which they come into their place.
	Trees    []SwapTree           `json:"trees"`
	KVServer string               `json:"kvserver"`
	Mark     kvserver.RestoreMark `json:"mark"`
}

// SwapTree is a tree, and the other names that it may have meanwhile.
type SwapTree struct {
	At     node.Tree `json:"at"`
	Staged node.Tree `json:"staged"`
	Aside  node.Tree `json:"aside"`  // the old one
	Undone node.Tree `json:"undone"` // the new one, after an undo
}

// Kind of the step.
func (*Swap) Kind() Kind { return KindSwap }

// Phase of the step.
func (*Swap) Phase() Phase { return PhaseSwap }

// Describe names what goes where.
func (a *Swap) Describe() Description {
	d := Description{Sign: Changed}
	for _, t := range a.Trees {
		from, to := t.Staged.Path(), t.Aside.Path()
		if a.Back {
			from, to = t.Aside.Path(), t.Undone.Path()
		}
		d.Items = append(d.Items, Item{Path: t.At.Path(), Sign: Changed, Problem: "is kept as " + to, Note: from + " takes its place"})
	}
	return d
}

// SwapTrees are the trees of a member's data. The log, which says whose data it is, comes first where it has a folder of its own.
func (l Layout) SwapTrees(m kvserver.RestoreMark) []SwapTree {
	tree := func(dir, name string) SwapTree {
		below := func(in string) node.Tree { return node.Tree{Dir: dir, Name: path.Join(in, name)} }
		return SwapTree{At: below(""), Staged: below(m.Staging()), Aside: below(path.Join(".aside", m.Aside())), Undone: below(path.Join(".aside", m.Undone()))}
	}
	out := []SwapTree{tree(l.Data, memberEntries[0])}
	if l.WAL != "" {
		out = append([]SwapTree{tree(l.WAL, walEntries[0])}, out...)
	}
	return out
}

// swap adds the step to hosts whose units are stopped.
func (b *builder) swap(of restoring, back bool, hosts []*member) {
	title := "put the new data of "
	if back {
		title = "put the old data of "
	}
	for _, m := range hosts {
		mark := of.markOf(m)
		b.add(draft{after: slices.Concat(b.ids(KindStage), b.ids(KindStopDependents), b.ids(KindStop)), Step: Step{Member: m.Name, Title: title + m.Name + " in its place",
			Action: &Swap{Unit: m.layout.Unit, Back: back, Trees: m.layout.SwapTrees(mark), KVServer: m.layout.KVServer, Mark: mark}}})
	}
}

// ids are those of the steps of a kind that are in the plan so far.
func (b *builder) ids(k Kind) []string {
	var out []string
	for _, s := range b.steps {
		if s.Kind == k {
			out = append(out, s.ID)
		}
	}
	return out
}
