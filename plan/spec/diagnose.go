package spec

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// fail reports an error: what is wrong and why, then the way out.
func (l *loader) fail(at hcl.Range, summary, cause, wayOut string) {
	l.diags = append(l.diags, complaint(at, summary, cause, wayOut))
}

// warn reports what is allowed and probably not meant.
func (l *loader) warn(at hcl.Range, summary, cause, wayOut string) {
	d := complaint(at, summary, cause, wayOut)
	d.Severity = hcl.DiagWarning
	l.diags = append(l.diags, d)
}

// complaint is an error about a place, which may be none: the zero value.
func complaint(at hcl.Range, summary, cause, wayOut string) *hcl.Diagnostic {
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: cause + "\n" + wayOut}
	if at != (hcl.Range{}) {
		d.Subject = &at
	}
	return d
}

// content reads a body by its schema, and adds to hcl's own complaints what
// would be allowed there; false if there are any.
func (l *loader) content(body hcl.Body, b *block) (*hcl.BodyContent, bool) {
	c, diags := body.Content(b.schema())
	for _, d := range diags {
		switch d.Summary {
		case "Unsupported argument":
			d.Detail += elsewhere(b, d.Detail) + "\n" + allowed(b, b.attrs, func(a *attribute) string { return a.name }, "attribute")
		case "Unsupported block type", "Unsupported block":
			d.Detail += "\n" + allowed(b, b.blocks, func(c *block) string { return c.name }, "block")
		}
	}
	l.diags = append(l.diags, diags...)
	return c, !diags.HasErrors()
}

// eval gives the value of e, and false after complaints; where it may be a
// secret they are made quietly.
func (l *loader) eval(e hcl.Expression, ctx *hcl.EvalContext, secret bool) (cty.Value, bool) {
	v, diags := e.Value(ctx)
	if secret {
		quietly(diags)
	}
	l.diags = append(l.diags, diags...)
	return v, !diags.HasErrors()
}

var argumentName = regexp.MustCompile(`^An argument named "([^"]+)"`)

// elsewhere says where the attribute that detail complains about would be right.
func elsewhere(b *block, detail string) string {
	m := argumentName.FindStringSubmatch(detail)
	if m == nil {
		return ""
	}
	for _, c := range b.blocks {
		if c.attr(m[1]) != nil {
			return fmt.Sprintf(" It belongs into the %s block.", c.name)
		}
	}
	return ""
}

// allowed says which of all, each of them what, may stand in b.
func allowed[T any](b *block, all []T, name func(T) string, what string) string {
	var names []string
	for _, t := range all {
		names = append(names, name(t))
	}
	slices.Sort(names)
	where := "At the top level"
	if b.name != "" {
		where = fmt.Sprintf("In a %s block", b.name)
	}
	if len(names) == 0 {
		return fmt.Sprintf("%s there are no %ss.", where, what)
	}
	return fmt.Sprintf("%s these %ss are known: %s.", where, what, strings.Join(names, ", "))
}

// finish sorts the complaints by position, drops repetitions and what only
// stopped dynblock, and takes secrets out.
func (l *loader) finish() hcl.Diagnostics {
	// Longest first, so that a secret within another leaves nothing of it.
	slices.SortFunc(l.secrets, func(a, b string) int { return len(b) - len(a) })
	var out hcl.Diagnostics
	seen := map[string]bool{}
	for _, d := range l.diags {
		if _, ok := d.Extra.(suppressed); ok {
			continue
		}
		d = l.withoutSecrets(explain(d))
		key := fmt.Sprint(d.Severity, d.Subject, d.Summary, d.Detail)
		if !seen[key] {
			seen[key] = true
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b *hcl.Diagnostic) int {
		x, y := cmp.Or(a.Subject, &hcl.Range{}), cmp.Or(b.Subject, &hcl.Range{})
		return cmp.Or(strings.Compare(x.Filename, y.Filename), x.Start.Byte-y.Start.Byte, strings.Compare(a.Summary, b.Summary))
	})
	return out
}

// explain says in our own words what hcl cannot know: that a missing
// attribute is a variable or local, what marks on a label are, and what was
// probably meant by a slip of grammar.
func explain(d *hcl.Diagnostic) *hcl.Diagnostic {
	c := *d
	if d.Summary == "Unsupported attribute" && d.Expression != nil && d.EvalContext != nil {
		for _, t := range d.Expression.Variables() {
			if cause, wayOut := missing(t, d.EvalContext); cause != "" {
				c.Summary, c.Detail = "No such name", cause+"\n"+wayOut
				return &c
			}
		}
	}
	switch {
	case d.Summary == "Invalid dynamic block label" && strings.Contains(d.Detail, "marks"):
		c.Detail = "A block's name is shown everywhere, and this value comes from env(), file() or a sensitive variable.\nIf it may be shown, say so: nonsensitive(…)."
	case d.Summary == "Invalid number literal":
		c.Detail += "\n" + `An IP address is a string and stands in quotes, as in address = "192.168.7.101".`
	case d.Summary == "Missing required argument" && strings.HasPrefix(d.Detail, `The argument "labels" is required`):
		c.Detail += "\nSay what to call each block: labels = [member.key], with the word after dynamic in place of member."
	}
	return &c
}

// missing explains a reference to a variable or local that there is not.
func missing(t hcl.Traversal, ctx *hcl.EvalContext) (cause, wayOut string) {
	name, ok := second(t)
	if !ok {
		return "", ""
	}
	for ; ctx != nil; ctx = ctx.Parent() {
		v, ok := ctx.Variables[t.RootName()]
		if !ok {
			continue
		}
		if !v.Type().IsObjectType() || v.Type().HasAttribute(name) {
			return "", ""
		}
		near := didYouMean(name, sortedKeys(v.Type().AttributeTypes()))
		switch t.RootName() {
		case "var":
			return fmt.Sprintf("There is no variable %q.%s", name, near), fmt.Sprintf("Declare it: variable %q {}", name)
		case "local":
			return fmt.Sprintf("There is no local %q.%s", name, near), "Define it in a locals block."
		}
		return "", ""
	}
	return "", ""
}

// oneOf spells a choice: `"a", "b" or "c"`.
func oneOf(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}
