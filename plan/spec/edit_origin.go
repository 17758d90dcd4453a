package spec

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// origin is where a value is written down.
type origin struct {
	at hcl.Range
	// outside says where it comes from if that is no file of the spec's: "--var members".
	outside string
}

// elsewhere is the origin in a sentence, where it is no place in a file.
func (o origin) elsewhere() string {
	if o.outside == "" {
		return ""
	}
	return ", but comes from " + o.outside
}

// generated is the error for a member that comes out of a dynamic block; nil is one that would have to.
func (e *editor) generated(m *Member) error {
	_, dynamic := e.members()
	what, at := "its members come", e.cluster.Range
	if m != nil {
		what, at = fmt.Sprintf("member %q comes", m.Name), m.Range
	}
	for _, d := range dynamic {
		from := d.Range()
		if m != nil && len(dynamic) > 1 && (m.Range.Start.Byte < from.Start.Byte || m.Range.Start.Byte >= from.End.Byte) {
			continue
		}
		cause := fmt.Sprintf("%s out of the dynamic block at %s:%d", what, from.Filename, from.Start.Line)
		each := d.Body.Attributes["for_each"]
		if each == nil {
			return e.byHand(cause, from)
		}
		o := e.origin(each.Expr, m)
		if o.outside != "" {
			return &ByHandError{Change: e.change, Cause: cause + ", for each of what comes from " + o.outside}
		}
		return e.byHand(cause, o.at)
	}
	return e.byHand(what+" out of something other than a block of its own", at)
}

// origin follows an expression to where its value is written down, and in a map
// or list written out to the entry of m; nil is none of them.
func (e *editor) origin(x hclsyntax.Expression, m *Member) origin {
	return e.follow(x, m, 0)
}

func (e *editor) follow(x hclsyntax.Expression, m *Member, depth int) origin {
	here := origin{at: x.Range()}
	if depth > maxNesting {
		return here
	}
	switch x := x.(type) {
	case *hclsyntax.ParenthesesExpr:
		return e.follow(x.Expression, m, depth+1)
	case *hclsyntax.ForExpr:
		return e.follow(x.CollExpr, m, depth+1)
	case *hclsyntax.FunctionCallExpr:
		if len(x.Args) == 1 {
			return e.follow(x.Args[0], m, depth+1)
		}
	case *hclsyntax.ObjectConsExpr:
		for _, i := range x.Items {
			if m != nil && stands(i.KeyExpr, m.Name) {
				return origin{at: hcl.RangeBetween(i.KeyExpr.Range(), i.ValueExpr.Range())}
			}
		}
	case *hclsyntax.TupleConsExpr:
		for _, i := range x.Exprs {
			if m != nil && (stands(i, m.Name) || stands(i, m.Address)) {
				return origin{at: i.Range()}
			}
		}
	case *hclsyntax.ScopeTraversalExpr:
		if name, ok := second(x.Traversal); ok {
			return e.named(x.Traversal.RootName(), name, m, depth, here)
		}
	}
	return here
}

// stands reports whether an expression is that text, written out.
func stands(x hcl.Expression, text string) bool {
	if k := hcl.ExprAsKeyword(x); k != "" {
		return k == text
	}
	v, diags := x.Value(nil)
	return !diags.HasErrors() && v.IsWhollyKnown() && !v.IsNull() && v.Type().FriendlyName() == "string" && v.AsString() == text
}

// named follows local.NAME and var.NAME.
func (e *editor) named(root, name string, m *Member, depth int, otherwise origin) origin {
	var found hclsyntax.Expression
	for _, f := range e.files {
		parsed, diags := parse(f)
		if diags.HasErrors() {
			continue
		}
		for _, b := range parsed.Body.(*hclsyntax.Body).Blocks {
			var a *hclsyntax.Attribute
			switch {
			case root == "local" && b.Type == "locals":
				a = b.Body.Attributes[name]
			case root == "var" && b.Type == "variable" && len(b.Labels) == 1 && b.Labels[0] == name:
				a = b.Body.Attributes["default"]
			}
			if a != nil {
				found = a.Expr
			}
		}
	}
	if root == "var" {
		if o, ok := e.given(name, m, depth); ok {
			return o
		}
	}
	if found == nil {
		return otherwise
	}
	return e.follow(found, m, depth+1)
}

// given is where a variable's value comes from outside of the spec.
func (e *editor) given(name string, m *Member, depth int) (origin, bool) {
	if _, ok := e.options.Vars[name]; ok {
		return origin{outside: "--var " + name}, true
	}
	for i := len(e.options.VarFiles) - 1; i >= 0; i-- {
		f := e.options.VarFiles[i]
		if strings.HasSuffix(f.Name, ".json") {
			if strings.Contains(string(f.Bytes), fmt.Sprintf("%q", name)) {
				return origin{outside: fmt.Sprintf("%q in %s", name, f.Name)}, true
			}
			continue
		}
		parsed, diags := parse(f)
		if diags.HasErrors() {
			continue
		}
		if a := parsed.Body.(*hclsyntax.Body).Attributes[name]; a != nil {
			return e.follow(a.Expr, m, depth+1), true
		}
	}
	if e.options.Env != nil {
		if _, ok := e.options.Env(EnvPrefix + name); ok {
			return origin{outside: EnvPrefix + name + " in the environment"}, true
		}
	}
	return origin{}, false
}
