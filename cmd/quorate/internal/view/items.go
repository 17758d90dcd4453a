package view

import (
	"path"
	"slices"
	"strings"

	"quorate/plan"
)

// group is items of which the same is said.
type group struct {
	plan.Item
	paths []string
}

// together puts the items of a step together of which the same is said, in the
// order in which they come.
func together(items []plan.Item) []group {
	var out []group
	for _, i := range items {
		said := plan.Item{Sign: i.Sign, Problem: i.Problem, Note: i.Note}
		at := slices.IndexFunc(out, func(g group) bool { return g.Problem == said.Problem && g.Note == said.Note && g.Sign == said.Sign })
		if at < 0 {
			out = append(out, group{Item: said})
			at = len(out) - 1
		}
		if i.Path != "" {
			out[at].paths = append(out[at].paths, i.Path)
		}
	}
	return out
}

// String is the group in a line: "not there yet, below /etc/quorate/lab:
// etcd.yaml, pki" for several, "/etc/quorate/lab/etcd.yaml differs" for one.
func (g group) String() string {
	said := g.Problem
	if g.Note != "" {
		said = strings.TrimPrefix(said+"; "+g.Note, "; ")
	}
	switch {
	case len(g.paths) == 0:
		return said
	case len(g.paths) == 1:
		return g.paths[0] + ": " + said
	}
	dir := common(g.paths)
	if dir == "/" || dir == "." {
		return said + ": " + List(g.paths)
	}
	var names []string
	for _, p := range g.paths {
		names = append(names, strings.TrimPrefix(strings.TrimPrefix(p, dir), "/"))
	}
	return said + ", below " + dir + ": " + List(names)
}

// common is the folder that all paths lie below.
func common(paths []string) string {
	dir := path.Dir(paths[0])
	for _, p := range paths {
		for dir != "/" && dir != "." && !strings.HasPrefix(p, dir+"/") {
			dir = path.Dir(dir)
		}
	}
	return dir
}
