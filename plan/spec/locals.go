package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// local is one name of a locals block on its way to a value.
type local struct {
	name string
	attr *hcl.Attribute
	// state: 0 not looked at, 1 being evaluated, 2 done.
	state int
	value cty.Value
}

// locals evaluates all locals blocks into l.ctx as "local", each after what it
// refers to. One that fails becomes unknown.
func (l *loader) locals(content []*hcl.BodyContent) {
	all := map[string]*local{}
	for _, c := range content {
		for _, b := range c.Blocks.OfType("locals") {
			attrs, diags := b.Body.JustAttributes()
			l.diags = append(l.diags, diags...)
			for _, name := range sortedKeys(attrs) {
				if had := all[name]; had != nil {
					l.fail(attrs[name].NameRange, "Duplicate local", fmt.Sprintf("Local %q is defined already, at %s.", name, had.attr.NameRange), "Remove one of them, or rename it.")
					continue
				}
				all[name] = &local{name: name, attr: attrs[name], value: cty.DynamicVal}
			}
		}
	}
	for _, name := range sortedKeys(all) {
		l.evaluate(all[name], all, nil)
	}
	values := map[string]cty.Value{}
	for name, x := range all {
		values[name] = x.value
	}
	l.ctx.Variables["local"] = cty.ObjectVal(values)
}

// evaluate gives x its value, after those it refers to. way is the chain of
// locals that led here.
func (l *loader) evaluate(x *local, all map[string]*local, way []string) {
	way = append(way, x.name)
	switch x.state {
	case 2:
		return
	case 1:
		circle := way[slices.Index(way, x.name):]
		l.fail(x.attr.NameRange, "Locals in a circle", "These locals refer to one another: "+strings.Join(circle, " → ")+".",
			"Give one of them a value that needs none of the others.")
		return
	}
	x.state = 1
	defer func() { x.state = 2 }()
	needed := map[string]cty.Value{}
	for _, t := range x.attr.Expr.Variables() {
		if t.RootName() != "local" {
			continue
		}
		name, ok := second(t)
		if !ok {
			l.fail(t.SourceRange(), "Incomplete reference", "Among locals, \"local\" must be followed by a name.", "Write local.NAME.")
			return
		}
		y := all[name]
		if y == nil {
			l.fail(t.SourceRange(), "No such local", fmt.Sprintf("There is no local %q.%s", name, didYouMean(name, sortedKeys(all))), "Define it in a locals block.")
			return
		}
		l.evaluate(y, all, way)
		needed[name] = y.value
	}
	ctx := l.ctx.NewChild()
	ctx.Variables = map[string]cty.Value{"local": cty.ObjectVal(needed)}
	if v, ok := l.eval(x.attr.Expr, ctx, l.secretNames.locals[x.name]); ok {
		x.value = v
	}
}

// second is the name after the root of t.
func second(t hcl.Traversal) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	switch s := t[1].(type) {
	case hcl.TraverseAttr:
		return s.Name, true
	case hcl.TraverseIndex:
		if s.Key.Type() == cty.String && s.Key.IsKnown() && !s.Key.IsNull() {
			return s.Key.AsString(), true
		}
	}
	return "", false
}
