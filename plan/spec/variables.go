package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// variable is one declaration.
type variable struct {
	name      string
	at        hcl.Range // the label
	typ       cty.Type
	optional  *typeexpr.Defaults
	byDefault cty.Value // NilVal: none
	sensitive bool
	rules     []*hcl.Block
	broken    bool // the declaration is wrong, which has been reported
}

// variables evaluates all variable blocks into l.ctx as "var". A variable
// whose value is wrong becomes unknown, so that the rest can still be judged.
func (l *loader) variables(content []*hcl.BodyContent) {
	declared := map[string]*variable{}
	var order []*variable
	for _, c := range content {
		for _, b := range c.Blocks.OfType("variable") {
			v := l.declare(b)
			if had := declared[v.name]; had != nil {
				l.fail(v.at, "Duplicate variable", fmt.Sprintf("Variable %q is declared already, at %s.", v.name, had.at), "Remove one of them, or rename it.")
				continue
			}
			declared[v.name] = v
			order = append(order, v)
		}
	}
	given := l.fromFiles(declared)
	for _, name := range sortedKeys(l.o.Vars) {
		if declared[name] == nil {
			l.fail(hcl.Range{}, "Undeclared variable", fmt.Sprintf("--var gives a value for %q, but the spec declares no such variable.%s", name, didYouMean(name, sortedKeys(declared))),
				fmt.Sprintf("Declare it, variable %q {}, or leave the option out.", name))
		}
	}
	values := map[string]cty.Value{}
	for _, v := range order {
		val := l.valueOf(v, given)
		if v.sensitive {
			if _, ok := l.o.Vars[v.name]; ok {
				l.fail(v.at, "Sensitive variable on the command line", fmt.Sprintf("Variable %q is sensitive, and everybody on this machine can read the arguments of a program (ps), as can whoever reads the shell's history.", v.name),
					fmt.Sprintf("Give it as QUORATE_VAR_%s in the environment, or with --var-file.", v.name))
			}
			l.keepSecret(val)
			val = val.Mark(markSensitive)
		}
		values[v.name] = val
	}
	l.ctx.Variables["var"] = cty.ObjectVal(values)
	for _, v := range order {
		if values[v.name].IsWhollyKnown() {
			l.checkRules(v)
		}
	}
}

func (l *loader) declare(b *hcl.Block) *variable {
	schema := variableBlock()
	v := &variable{name: b.Labels[0], at: b.LabelRanges[0], typ: cty.DynamicPseudoType}
	if !hclsyntax.ValidIdentifier(v.name) {
		l.fail(v.at, "Bad variable name", fmt.Sprintf("%q cannot follow \"var.\" in an expression.", v.name), "Use letters, digits, _ and -, with a letter first.")
		v.broken = true
	}
	c, _ := l.content(b.Body, schema)
	if a := c.Attributes["type"]; a != nil {
		t, optional, diags := typeexpr.TypeConstraintWithDefaults(a.Expr)
		l.diags = append(l.diags, diags...)
		if diags.HasErrors() {
			v.broken = true
		} else {
			v.typ, v.optional = t, optional
		}
	}
	for _, name := range []string{"description", "sensitive"} {
		if a := c.Attributes[name]; a != nil {
			x := l.convert(schema.attr(name), a.Expr, nil)
			v.sensitive = v.sensitive || x.flag
			v.broken = v.broken || x.bad
		}
	}
	if a := c.Attributes["default"]; a != nil {
		val, ok := l.eval(a.Expr, &hcl.EvalContext{Functions: l.ctx.Functions}, true)
		if ok {
			val, ok = l.fit(v, val, a.Expr.Range(), "Its default")
		}
		if ok {
			v.byDefault = val
		}
		v.broken = v.broken || !ok
	}
	v.rules = c.Blocks.OfType("validation")
	return v
}

// fit converts val to the type of v.
func (l *loader) fit(v *variable, val cty.Value, at hcl.Range, what string) (cty.Value, bool) {
	val, marks := val.UnmarkDeep()
	if v.optional != nil && !val.IsNull() && val.IsKnown() {
		val = v.optional.Apply(val)
	}
	c, err := convert.Convert(val, v.typ)
	if err != nil {
		cause := fmt.Sprintf("%s does not fit the type of variable %q: %s.", what, v.name, err)
		if v.sensitive || len(marks) > 0 {
			cause = fmt.Sprintf("%s does not fit the type of variable %q; it is not shown, because it is sensitive.", what, v.name)
		}
		l.fail(at, "Wrong type", cause, fmt.Sprintf("The type is %s.", typeexpr.TypeString(v.typ)))
		return cty.DynamicVal, false
	}
	return c.WithMarks(marks), true
}

// assignment is a value for a variable and where it comes from.
type assignment struct {
	value cty.Value
	at    hcl.Range
}

// fromFiles evaluates the variable files, later ones winning.
func (l *loader) fromFiles(declared map[string]*variable) map[string]assignment {
	given := map[string]assignment{}
	for _, f := range l.o.VarFiles {
		parsed, diags := parse(f)
		if parsed != nil && strings.HasSuffix(f.Name, ".json") { // it can be borne as JSON too
			parsed, diags = json.Parse(f.Bytes, f.Name)
		}
		l.diags = append(l.diags, diags...)
		if parsed == nil || parsed.Body == nil {
			continue
		}
		attrs, diags := parsed.Body.JustAttributes()
		l.diags = append(l.diags, diags...)
		for _, name := range sortedKeys(attrs) {
			a := attrs[name]
			if declared[name] == nil {
				l.warn(a.NameRange, "Undeclared variable", fmt.Sprintf("The spec declares no variable %q, so this value goes nowhere.%s", name, didYouMean(name, sortedKeys(declared))),
					fmt.Sprintf("Declare it, variable %q {}, or remove the line.", name))
				continue
			}
			v, ok := l.eval(a.Expr, nil, true)
			if !ok {
				v = cty.DynamicVal
			}
			given[name] = assignment{v, a.Expr.Range()}
		}
	}
	return given
}

// EnvPrefix begins the names of the environment variables that set variables.
const EnvPrefix = "QUORATE_VAR_"

// valueOf picks the value of v: --var, else a variable file, else the
// environment, else the default.
func (l *loader) valueOf(v *variable, files map[string]assignment) cty.Value {
	pick := func() (cty.Value, bool) {
		if s, ok := l.o.Vars[v.name]; ok {
			return l.fromText(v, s, "The value of --var "+v.name)
		}
		if a, ok := files[v.name]; ok {
			if !a.value.IsKnown() {
				return cty.DynamicVal, false
			}
			return l.fit(v, a.value, a.at, "This value")
		}
		if s, ok := l.o.Env(EnvPrefix + v.name); ok {
			return l.fromText(v, s, "The value of "+EnvPrefix+v.name)
		}
		if v.byDefault != cty.NilVal {
			return v.byDefault, true
		}
		if !v.broken {
			l.fail(v.at, "No value for variable", fmt.Sprintf("Variable %q has no default and was not given.", v.name),
				fmt.Sprintf("Give it with --var %s=…, in a --var-file, as %s%s in the environment, or add a default.", v.name, EnvPrefix, v.name))
		}
		return cty.DynamicVal, false
	}
	val, ok := pick()
	if !ok || v.broken {
		return cty.UnknownVal(v.typ)
	}
	return val
}

// fromText reads a value given as text: as it is where the type wants a
// primitive (or says nothing), else as an HCL expression.
func (l *loader) fromText(v *variable, s, what string) (cty.Value, bool) {
	if v.typ == cty.DynamicPseudoType || v.typ.IsPrimitiveType() {
		return l.fit(v, cty.StringVal(s), v.at, what)
	}
	broken := func(cause string) (cty.Value, bool) {
		if v.sensitive {
			cause = "what is wrong is not shown, because it is sensitive."
		}
		l.fail(v.at, "Wrong value for variable", fmt.Sprintf("%s is no expression for a %s: %s", what, typeexpr.TypeString(v.typ), cause),
			`Write it as in the spec, for example '["a", "b"]' or '{ a = 1 }', and quote it for the shell.`)
		return cty.DynamicVal, false
	}
	if d := checkSource(File{Name: what, Bytes: []byte(s)}); d != nil {
		return broken(d.Detail)
	}
	e, diags := hclsyntax.ParseExpression([]byte(s), what, hcl.InitialPos)
	if diags.HasErrors() {
		return broken(diags[0].Detail)
	}
	val, diags := e.Value(nil)
	if diags.HasErrors() {
		return broken(diags[0].Detail)
	}
	return l.fit(v, val, v.at, what)
}

// checkRules evaluates the validation blocks of v.
func (l *loader) checkRules(v *variable) {
	schema := variableBlock().child("validation")
	for _, b := range v.rules {
		c, _ := l.content(b.Body, schema)
		cond, message := c.Attributes["condition"], c.Attributes["error_message"]
		if cond == nil || message == nil {
			l.fail(b.DefRange, "Missing attribute", "A validation block needs condition and error_message.",
				fmt.Sprintf("Add condition = %s and error_message = %s", schema.attr("condition").sample(), schema.attr("error_message").sample()))
			continue
		}
		holds, ok := l.eval(cond.Expr, l.ctx, false)
		if !ok {
			continue
		}
		holds, _ = holds.UnmarkDeep()
		verdict, err := convert.Convert(holds, cty.Bool)
		if err != nil || verdict.IsNull() {
			l.fail(cond.Expr.Range(), "Wrong condition", "The condition of a validation is true or false, not "+withArticle(holds.Type().FriendlyName())+".", "Compare something, for example length(var."+v.name+") > 0.")
			continue
		}
		if !verdict.IsKnown() || verdict.True() {
			continue
		}
		text := "Its value is not allowed; what the rule says is not shown, because it holds a sensitive value."
		m, _ := l.eval(message.Expr, l.ctx, false)
		if s, err := convert.Convert(m, cty.String); err == nil && !s.ContainsMarked() && s.IsKnown() && !s.IsNull() {
			text = s.AsString()
		}
		l.fail(v.at, "Wrong value for variable", fmt.Sprintf("Variable %q: %s", v.name, text), fmt.Sprintf("The rule is at %s.", b.DefRange))
	}
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
