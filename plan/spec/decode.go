package spec

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// node is one decoded block: what was given, by name.
type node struct {
	l      *loader
	block  *block
	label  string
	at     hcl.Range // the header
	name   hcl.Range // the label, or the header
	values map[string]value
	nodes  map[string][]*node
	// parent lends values that this node does not have (a member's
	// connection inherits from the cluster's).
	parent *node
	// broken: hcl could not make sense of all of the body, so what is missing
	// here may not really be missing.
	broken bool
	// names replace "<cluster>" and "<member>" in defaults.
	names map[string]string
}

// decode reads one block by its schema, and every block in it. It never
// fails: what is wrong is reported and then counts as bad (see value).
func (l *loader) decode(b *block, hb *hcl.Block, ctx *hcl.EvalContext) *node {
	n := &node{l: l, block: b, at: hb.DefRange, name: hb.DefRange, values: map[string]value{}, nodes: map[string][]*node{}}
	if len(hb.Labels) > 0 {
		n.label, n.name = hb.Labels[0], hb.LabelRanges[0]
	}
	content, ok := l.content(hb.Body, b)
	n.broken = !ok
	for _, a := range b.attrs {
		if at, ok := content.Attributes[a.name]; ok {
			n.values[a.name] = l.convert(a, at.Expr, ctx)
			if n.values[a.name].given {
				continue
			}
		}
		if a.required {
			l.fail(n.at, "Missing attribute", fmt.Sprintf("%s needs %s (%s).", n.title(), a.name, a.doc),
				fmt.Sprintf("Add %s = %s", a.name, a.sample()))
			n.values[a.name] = value{given: true, bad: true, at: n.at}
		}
	}
	for _, child := range content.Blocks {
		c := b.child(child.Type)
		if c == nil {
			continue
		}
		if had := n.nodes[c.name]; len(had) > 0 && !c.many {
			l.fail(child.DefRange, "Duplicate block", fmt.Sprintf("%s has a %s block already, at %s.", n.title(), c.name, had[0].at),
				"Put everything into one of them.")
		}
		n.nodes[c.name] = append(n.nodes[c.name], l.decode(c, child, ctx))
	}
	return n
}

// title names the block in a sentence: `Member "etcd1"`.
func (n *node) title() string {
	t := "The " + n.block.name + " block"
	if n.block.label != "" {
		t = fmt.Sprintf("%s %q", n.block.name, n.label)
		t = string(t[0]-'a'+'A') + t[1:]
	}
	return t
}

// one is the block of that name, or an empty one, so that its defaults can be read.
func (n *node) one(name string) *node {
	if c := n.nodes[name]; len(c) > 0 {
		c[0].names = n.names
		return c[0]
	}
	return &node{l: n.l, block: n.block.child(name), at: n.at, name: n.at, names: n.names}
}

// has reports whether the block was given.
func (n *node) has(name string) bool { return len(n.nodes[name]) > 0 }

// given returns what this very block says about an attribute: ok is false when
// it says nothing, or something wrong that has been reported.
func (n *node) given(name string) (v value, ok bool) {
	v = n.values[name]
	return v, v.given && !v.bad
}

// written is the place of the first of these attributes that is given here: not
// a default is pointed at. If none is, it is that of the first.
func (n *node) written(names ...string) hcl.Range {
	for _, name := range names {
		if _, ok := n.given(name); ok {
			return n.where(name)
		}
	}
	return n.where(names[0])
}

// bad reports that the attribute was given here or inherited, and is wrong.
func (n *node) bad(name string) bool {
	v, ok := n.values[name]
	if ok && v.given {
		return v.bad
	}
	return n.parent != nil && n.parent.bad(name)
}

// value is what is given here, or inherited, or the default.
func (n *node) value(name string) value {
	if v, ok := n.given(name); ok {
		return v
	}
	if n.parent != nil && !n.values[name].bad {
		return n.parent.withNames(n.names).value(name)
	}
	return n.l.defaultValue(n.block.attr(name), n.names, n.at)
}

func (n *node) withNames(names map[string]string) *node {
	c := *n
	c.names = names
	return &c
}

func (n *node) text(name string) string     { return n.value(name).text }
func (n *node) texts(name string) []string  { return n.value(name).texts }
func (n *node) number(name string) int64    { return n.value(name).number }
func (n *node) flag(name string) bool       { return n.value(name).flag }
func (n *node) secret(name string) Secret   { return n.value(name).secret }
func (n *node) where(name string) hcl.Range { return n.value(name).at }
