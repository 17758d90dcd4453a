package spec

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// mark travels with a value through expressions.
type mark string

const (
	// sensitive values (variables declared so, and sensitive()) are accepted
	// only by attributes that are never shown.
	markSensitive mark = "sensitive"
	// hidden values (env(), file()) may go anywhere; until they have landed in
	// an attribute that is shown, no diagnostic shows them.
	markHidden mark = "hidden"
)

func isSensitive(v cty.Value) bool {
	_, marks := v.UnmarkDeep()
	_, ok := marks[markSensitive]
	return ok
}

func (l *loader) sensitiveShown(at hcl.Range, where string) {
	l.fail(at, "Sensitive value in a place that is shown",
		fmt.Sprintf("%s appears in plans and logs, and this value is sensitive.", where),
		"Use a variable that is not declared sensitive, or, if the value may be shown after all, nonsensitive(…).")
}

// minSecret is the length in bytes below which a text is not looked for in
// diagnostics: replacing every "a" would only make them unreadable.
const minSecret = 4

// texts are all strings in v, its keys left out.
func texts(v cty.Value) []string {
	var found []string
	v, _ = v.UnmarkDeep()
	_ = cty.Walk(v, func(_ cty.Path, e cty.Value) (bool, error) {
		if e.Type() == cty.String && e.IsKnown() && !e.IsNull() {
			found = append(found, e.AsString())
		}
		return true, nil
	})
	return found
}

// keepSecret remembers the texts in v: no diagnostic may hold them.
func (l *loader) keepSecret(v cty.Value) {
	for _, t := range texts(v) {
		if len(t) >= minSecret {
			l.secrets = append(l.secrets, t)
		}
	}
	l.keepQuiet(v)
}

// hidden is a text from outside the spec.
func (l *loader) hidden(text string) cty.Value {
	v := cty.StringVal(text)
	l.keepQuiet(v)
	return v.Mark(markHidden)
}

// keepQuiet remembers the texts in v: hcl's diagnostics show no variable that
// holds one of them, or a piece of one.
func (l *loader) keepQuiet(v cty.Value) {
	for _, t := range texts(v) {
		if t != "" {
			l.quiet = append(l.quiet, strings.ToLower(t))
		}
	}
}

// withoutSecrets is the last defence, after marks: a diagnostic that holds the
// text of a secret has it replaced, and one whose expression would show it
// loses the expression. d itself stays as it is.
func (l *loader) withoutSecrets(d *hcl.Diagnostic) *hcl.Diagnostic {
	c := *d
	if c.Expression != nil && c.EvalContext != nil && l.shows(c.Expression, c.EvalContext) {
		c.Expression, c.EvalContext = nil, nil
		c.Detail = withoutQuotes(c.Detail)
	}
	for _, s := range l.secrets {
		c.Detail = strings.ReplaceAll(c.Detail, s, sensitive)
		c.Summary = strings.ReplaceAll(c.Summary, s, sensitive)
	}
	return &c
}

var quoted = regexp.MustCompile(`(?:function )?"(?:[^"\\]|\\.)*"(?: parameter)?`)

// withoutQuotes takes out what a diagnostic of hcl quotes, except the names of
// functions and parameters: it may be a piece of a secret that has lost its
// mark, as the elements of a list do inside a for expression.
func withoutQuotes(s string) string {
	return quoted.ReplaceAllStringFunc(s, func(q string) string {
		if strings.HasPrefix(q, "function ") || strings.HasSuffix(q, " parameter") {
			return q
		}
		return sensitive
	})
}

// shows reports whether a variable of e holds a secret, or a piece of one.
func (l *loader) shows(e hcl.Expression, ctx *hcl.EvalContext) bool {
	for _, t := range e.Variables() {
		v, diags := t.TraverseAbs(ctx)
		if diags.HasErrors() {
			continue
		}
		if v.ContainsMarked() {
			return true
		}
		for _, text := range texts(v) {
			text = strings.ToLower(text)
			for _, s := range l.quiet {
				if text != "" && (strings.Contains(text, s) || strings.Contains(s, text)) {
					return true
				}
			}
		}
	}
	return false
}

// discreet wraps f so that its errors do not quote arguments that are marked.
func discreet(f function.Function) function.Function {
	params := slices.Clone(f.Params())
	for i := range params {
		params[i].AllowMarked = true
	}
	rest := f.VarParam()
	if rest != nil {
		r := *rest
		r.AllowMarked = true
		rest = &r
	}
	quiet := func(args []cty.Value, err error) error {
		if err == nil {
			return nil
		}
		for _, a := range args {
			if a.ContainsMarked() {
				const why = "it cannot use this value, which is not shown because it comes from env(), file() or a sensitive variable"
				if arg, ok := errors.AsType[function.ArgError](err); ok {
					return function.NewArgErrorf(arg.Index, why)
				}
				return errors.New(why)
			}
		}
		return err
	}
	return function.New(&function.Spec{
		Description: f.Description(),
		Params:      params,
		VarParam:    rest,
		Type: func(args []cty.Value) (cty.Type, error) {
			t, err := f.ReturnTypeForValues(args)
			return t, quiet(args, err)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := f.Call(args)
			return v, quiet(args, err)
		},
	})
}
