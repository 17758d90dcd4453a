package spec

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// value is an attribute's value in the field of its kind.
type value struct {
	// given: the attribute is there and not null. bad: it is of no use, and
	// that has been reported.
	given, bad bool
	at         hcl.Range // of the expression
	text       string
	texts      []string
	number     int64 // also sizes, in bytes
	ports      []int
	span       time.Duration
	flag       bool
	secret     Secret
	options    []option
	elements   []hcl.Range // of a list written out
}

// option is one entry of a map, sorted by name.
type option struct {
	name  string
	value any // bool, float64, string or a list of these
	at    hcl.Range
}

// element is the place of the i-th element of a list.
func (v value) element(i int) hcl.Range {
	if i < len(v.elements) {
		return v.elements[i]
	}
	return v.at
}

// convert evaluates e for attribute a and reports whatever is wrong with it.
func (l *loader) convert(a *attribute, e hcl.Expression, ctx *hcl.EvalContext) value {
	v := value{given: true, bad: true, at: e.Range()}
	raw, ok := l.eval(e, ctx, a.kind == kindSecret)
	if !ok {
		return v
	}
	if a.kind == kindSecret {
		l.keepSecret(raw)
		if !raw.ContainsMarked() && raw.IsWhollyKnown() && !raw.IsNull() {
			l.warn(v.at, "Secret in the spec", fmt.Sprintf("%s is readable for everybody who can read this file.", a.name),
				fmt.Sprintf("Take it from the environment, %s = %s, or from a variable declared sensitive.", a.name, a.sample()))
		}
	} else if isSensitive(raw) {
		l.sensitiveShown(v.at, "Attribute "+a.name)
		return v
	}
	raw, _ = raw.UnmarkDeep()
	if !raw.IsWhollyKnown() {
		return v // its cause has been reported
	}
	if raw.IsNull() {
		return value{at: v.at} // as if it were not there
	}
	v.bad = !l.fill(&v, a, raw)
	v.locateOptions(e, ctx)
	if elements, diags := hcl.ExprList(e); !diags.HasErrors() {
		for _, el := range elements {
			v.elements = append(v.elements, el.Range())
		}
	}
	return v
}

// locateOptions finds the places of options in a map that is written out.
func (v *value) locateOptions(e hcl.Expression, ctx *hcl.EvalContext) {
	pairs, diags := hcl.ExprMap(e)
	if diags.HasErrors() {
		return
	}
	for _, p := range pairs {
		key, diags := p.Key.Value(ctx)
		if diags.HasErrors() {
			continue
		}
		key, _ = key.Unmark()
		if key, err := convert.Convert(key, cty.String); err == nil && key.IsKnown() && !key.IsNull() {
			for i := range v.options {
				if v.options[i].name == key.AsString() {
					v.options[i].at = hcl.RangeBetween(p.Key.Range(), p.Value.Range())
				}
			}
		}
	}
}

// quietly takes the expression and all that is quoted out of diagnostics about
// a secret, since hcl's writer shows the values of an expression's variables,
// and functions quote their arguments. What stays is which environment
// variable or file there is not.
func quietly(diags hcl.Diagnostics) {
	for _, d := range diags {
		call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d)
		reads := ok && (call.CalledFunctionName() == "env" || call.CalledFunctionName() == "file")
		if !reads || d.Expression == nil || len(d.Expression.Variables()) > 0 {
			d.Detail = withoutQuotes(d.Detail)
		}
		d.Expression, d.EvalContext = nil, nil
	}
}

// fill puts raw, which is known and not null, into v; false after a complaint.
func (l *loader) fill(v *value, a *attribute, raw cty.Value) bool {
	wrong := func(cause string) bool {
		l.fail(v.at, "Wrong value for "+a.name, cause, fmt.Sprintf("For example: %s = %s", a.name, a.sample()))
		return false
	}
	want := func(t cty.Type, noun string) bool {
		c, err := convert.Convert(raw, t)
		if err != nil || c.IsNull() || !c.IsWhollyKnown() {
			return wrong(fmt.Sprintf("%s wants %s, not %s.", a.name, noun, withArticle(raw.Type().FriendlyName())))
		}
		raw = c
		return true
	}
	switch a.kind {
	case kindString, kindSecret:
		if !want(cty.String, "a string") {
			return false
		}
		s := raw.AsString()
		switch {
		case s == "" && a.kind == kindSecret:
			return wrong(a.name + " is empty.")
		case strings.ContainsAny(s, "\x00\r\n") && a.kind == kindSecret:
			return wrong(a.name + " has more than one line. The end of the line that a file ends with goes away by trimspace(file(…)).")
		case a.kind == kindSecret:
			v.secret = NewSecret(s)
			return true
		case s == "" && a.required:
			return wrong(a.name + " is empty.")
		case s == "":
			return wrong(fmt.Sprintf("%s is empty. To leave it at its default, leave it out.", a.name))
		case strings.ContainsFunc(s, isControl):
			return wrong(fmt.Sprintf("%s %q has control characters in it.", a.name, s))
		}
		v.text = s
		if len(a.oneOf) > 0 && !slices.Contains(a.oneOf, s) {
			l.fail(v.at, "Wrong value for "+a.name, fmt.Sprintf("%s cannot be %q.%s", a.name, s, didYouMean(s, a.oneOf)),
				fmt.Sprintf("It is %s.", oneOf(a.oneOf)))
			return false
		}
	case kindStrings:
		if raw.Type() == cty.String {
			raw = cty.ListVal([]cty.Value{raw}) // one is a list of one
		}
		if !want(cty.List(cty.String), "a list of strings") {
			return false
		}
		for _, e := range raw.AsValueSlice() {
			if e.IsNull() || strings.TrimSpace(e.AsString()) == "" {
				return wrong(fmt.Sprintf("%s has an empty element.", a.name))
			}
			if s := e.AsString(); strings.ContainsFunc(s, isControl) {
				return wrong(fmt.Sprintf("%s has an element with control characters in it, %q.", a.name, s))
			}
			v.texts = append(v.texts, e.AsString())
		}
	case kindBool:
		if !want(cty.Bool, "true or false") {
			return false
		}
		v.flag = raw.True()
	case kindNumber:
		if !want(cty.Number, "a number") {
			return false
		}
		n, ok := whole(raw.AsBigFloat())
		if !ok {
			return wrong(fmt.Sprintf("%s wants a whole number.", a.name))
		}
		v.number = n
		if (a.min != 0 || a.max != 0) && (n < a.min || n > a.max) {
			return wrong(fmt.Sprintf("%s cannot be %d: it goes from %d to %d.", a.name, n, a.min, a.max))
		}
	case kindPorts:
		if raw.Type() == cty.Number {
			raw = cty.ListVal([]cty.Value{raw}) // one is a list of one
		}
		if !want(cty.List(cty.Number), "a list of ports") {
			return false
		}
		for _, e := range raw.AsValueSlice() {
			if e.IsNull() {
				return wrong(fmt.Sprintf("%s has an empty element.", a.name))
			}
			n, ok := whole(e.AsBigFloat())
			if !ok || n < 1 || n > 65535 {
				return wrong(fmt.Sprintf("%s has an element that is no port: they go from 1 to 65535.", a.name))
			}
			v.ports = append(v.ports, int(n))
		}
	case kindSize:
		n, err := size(raw)
		if err != nil {
			return wrong(fmt.Sprintf("%s %v.", a.name, err))
		}
		v.number = n
	case kindDuration:
		if raw.Type() == cty.Number {
			return wrong(fmt.Sprintf("%s is a duration and needs a unit: ms, s, m, h or d.", a.name))
		}
		if !want(cty.String, "a duration") {
			return false
		}
		d, err := duration(raw.AsString())
		if err != nil {
			return wrong(fmt.Sprintf("%s cannot be %q: %v.", a.name, raw.AsString(), err))
		}
		v.span = d
	case kindOptions:
		return l.fillOptions(v, a, raw, wrong)
	}
	return true
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func (l *loader) fillOptions(v *value, a *attribute, raw cty.Value, wrong func(string) bool) bool {
	t := raw.Type()
	if !t.IsObjectType() && !t.IsMapType() {
		return wrong(fmt.Sprintf("%s wants a map, not %s.", a.name, withArticle(t.FriendlyName())))
	}
	for name, e := range raw.AsValueMap() {
		x, ok := plain(e, true)
		if !ok {
			what := withArticle(e.Type().FriendlyName())
			if e.IsNull() {
				what = "null"
			}
			return wrong(fmt.Sprintf("Option %q wants a bool, a number, a string or a list of these, not %s.", name, what))
		}
		v.options = append(v.options, option{name: name, value: x, at: v.at})
	}
	slices.SortFunc(v.options, func(a, b option) int { return strings.Compare(a.name, b.name) })
	return true
}

// plain is v as JSON would decode it; lists only at the top.
func plain(v cty.Value, list bool) (any, bool) {
	t := v.Type()
	switch {
	case v.IsNull():
		return nil, false
	case t == cty.Bool:
		return v.True(), true
	case t == cty.String:
		return v.AsString(), true
	case t == cty.Number:
		f, _ := v.AsBigFloat().Float64()
		return f, !math.IsInf(f, 0)
	case list && (t.IsTupleType() || t.IsListType() || t.IsSetType()):
		elements := []any{}
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			x, ok := plain(e, false)
			if !ok {
				return nil, false
			}
			elements = append(elements, x)
		}
		return elements, true
	}
	return nil, false
}

// whole is f as an int64, if it is one.
func whole(f *big.Float) (int64, bool) {
	n, acc := f.Int64()
	return n, acc == big.Exact
}

// defaultValue is an attribute's default; the zero value when it has none.
func (l *loader) defaultValue(a *attribute, names map[string]string, at hcl.Range) value {
	v, ok := l.defaults[a]
	if !ok {
		v = parseDefault(a)
		l.defaults[a] = v
	}
	v.at = at
	for name, text := range names {
		v.text = strings.ReplaceAll(v.text, "<"+name+">", text)
	}
	return v
}

// parseDefault reads a default out of the schema. A default that its own
// attribute would refuse is a programming error, caught by a test.
func parseDefault(a *attribute) value {
	if a.def == "" {
		return value{}
	}
	e, diags := hclsyntax.ParseExpression([]byte(a.def), "default", hcl.InitialPos)
	if diags.HasErrors() {
		panic("default of " + a.name + ": " + diags.Error())
	}
	own := &loader{}
	v := own.convert(a, e, nil)
	if len(own.diags) > 0 {
		panic("default of " + a.name + ": " + own.diags.Error())
	}
	v.given = false
	return v
}
