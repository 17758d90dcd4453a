package spec

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// fail reports an error: what is wrong and why, then the way out.
func (l *loader) fail(at hcl.Range, summary, cause, wayOut string) {
	l.say(hcl.DiagError, &at, summary, cause, wayOut)
}

// warn reports what is allowed and probably not meant.
func (l *loader) warn(at hcl.Range, summary, cause, wayOut string) {
	l.say(hcl.DiagWarning, &at, summary, cause, wayOut)
}

func (l *loader) say(sev hcl.DiagnosticSeverity, at *hcl.Range, summary, cause, wayOut string) {
	l.diags = append(l.diags, &hcl.Diagnostic{Severity: sev, Subject: at, Summary: summary, Detail: cause + "\n" + wayOut})
}

// withAllowed adds to hcl's own complaints about a body what would be allowed there.
func withAllowed(diags hcl.Diagnostics, b *block) hcl.Diagnostics {
	for _, d := range diags {
		switch d.Summary {
		case "Unsupported argument":
			d.Detail += elsewhere(b, d.Detail) + "\n" + allowed(b, b.attrNames(), "attribute")
		case "Unsupported block type", "Unsupported block":
			d.Detail += "\n" + allowed(b, b.blockNames(), "block")
		}
	}
	return diags
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

func allowed(b *block, names []string, what string) string {
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
	sort.Slice(l.secrets, func(i, j int) bool { return len(l.secrets[i]) > len(l.secrets[j]) })
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
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i].Subject, out[j].Subject
		switch {
		case a == nil || b == nil:
			return a == nil && b != nil
		case a.Filename != b.Filename:
			return a.Filename < b.Filename
		case a.Start.Byte != b.Start.Byte:
			return a.Start.Byte < b.Start.Byte
		}
		return out[i].Summary < out[j].Summary
	})
	return out
}

// explain says in our own words what hcl cannot know: that a missing
// attribute is a variable or local, what marks on a label are, and what was
// probably meant by a slip of grammar.
func explain(d *hcl.Diagnostic) *hcl.Diagnostic {
	if d.Summary == "Unsupported attribute" && d.Expression != nil && d.EvalContext != nil {
		for _, t := range d.Expression.Variables() {
			if cause, wayOut := missing(t, d.EvalContext); cause != "" {
				c := *d
				c.Summary, c.Detail = "No such name", cause+"\n"+wayOut
				return &c
			}
		}
	}
	if d.Summary == "Invalid dynamic block label" && strings.Contains(d.Detail, "marks") {
		c := *d
		c.Detail = "A block's name is shown everywhere, and this value comes from env(), file() or a sensitive variable.\nIf it may be shown, say so: nonsensitive(…)."
		return &c
	}
	if wayOut := grammar(d); wayOut != "" {
		c := *d
		c.Detail += "\n" + wayOut
		return &c
	}
	return d
}

// grammar is the way out of slips that hcl only names; "" for others.
func grammar(d *hcl.Diagnostic) string {
	switch {
	case d.Summary == "Invalid number literal":
		return `An IP address is a string and stands in quotes, as in address = "192.168.7.101".`
	case d.Summary == "Missing required argument" && strings.HasPrefix(d.Detail, `The argument "labels" is required`):
		return "Say what to call each block: labels = [member.key], with the word after dynamic in place of member."
	}
	return ""
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
