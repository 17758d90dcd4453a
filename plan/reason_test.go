package plan_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"quorate/plan"
)

// reasonGroup is one group of constants in reason.go.
type reasonGroup struct {
	about, holds string
	reasons      []reasonRow
}

type reasonRow struct{ name, reason, means string }

// The manual has a row for each reason, as reason.go says it; -update writes them.
func TestReasonsAreInTheManual(t *testing.T) {
	t.Parallel()
	const manual, begin, end = "../docs/held.md", "<!-- begin: made from plan/reason.go -->\n", "<!-- end -->"
	b, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(b), begin)
	was, after, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("%s lacks its markers", manual)
	}
	is := "\n"
	for _, g := range reasonGroups(t) {
		is += fmt.Sprintf("## %s\n\nIt %s\n\n| reason | what was found | passed over by |\n|---|---|---|\n", g.about, g.holds)
		for _, r := range g.reasons {
			is += fmt.Sprintf("| `%s` | %s | %s |\n", r.reason, r.means, passed(plan.Reason(r.reason)))
		}
		is += "\n"
	}
	switch {
	case is == was:
	case *update:
		if err := os.WriteFile(manual, []byte(before+begin+is+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what reason.go says; go test ./plan -run TestReasons -update writes it:\n%s", manual, is)
	}
}

// passed says how a reason is passed over.
func passed(r plan.Reason) string {
	switch {
	case r == plan.HostUnreachable:
		return "`--skip-unreachable`, by a destroy"
	case slices.Contains(plan.Acceptable(), r):
		return "`--accept " + string(r) + "`"
	}
	return "never"
}

// What is held as the stories have it: a reason that holds everything in one of them is in a group that says so.
func TestReasonsHoldWhatTheManualSays(t *testing.T) {
	t.Parallel()
	everything := map[string]bool{}
	for _, g := range reasonGroups(t) {
		for _, r := range g.reasons {
			everything[r.reason] = strings.Contains(g.holds+r.means, "everything")
		}
	}
	stories, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	held := regexp.MustCompile(`(?m)^held .*: ([a-z-]+) \(blocks everything\)$`)
	seen := 0
	for _, story := range stories {
		b, err := os.ReadFile(story)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range held.FindAllStringSubmatch(string(b), -1) {
			seen++
			if !everything[m[1]] {
				t.Errorf("%s: %s holds everything, and the manual does not say so", filepath.Base(story), m[1])
			}
		}
	}
	if seen == 0 {
		t.Error("no story has a reason that holds everything")
	}
}

// Every reason is in a group of reason.go with a comment, once, and used.
func TestReasonsAreUsed(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used, declared := map[string]bool{}, map[string]bool{}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), source, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		declares := map[*ast.Ident]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				typ, ok := n.Type.(*ast.Ident)
				for _, name := range n.Names {
					if declares[name] = true; ok && typ.Name == "Reason" && len(n.Values) > 0 {
						declared[name.Name] = true
					}
				}
			case *ast.Ident:
				used[n.Name] = used[n.Name] || !declares[n]
			}
			return true
		})
	}
	seen := map[string]bool{}
	for _, g := range reasonGroups(t) {
		for _, r := range g.reasons {
			if !used[r.name] {
				t.Errorf("nothing is held as %s", r.name)
			}
			if seen[r.reason] || r.means == "" {
				t.Errorf("%s is there twice, or has no comment", r.reason)
			}
			seen[r.reason] = true
			delete(declared, r.name)
		}
	}
	for name := range declared {
		t.Errorf("%s is a reason, and not in reason.go", name)
	}
}

// reasonGroups are the constants of reason.go with their comments.
func reasonGroups(t *testing.T) []reasonGroup {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var out []reasonGroup
	for _, d := range f.Decls {
		d, ok := d.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			continue
		}
		about, holds, ok := strings.Cut(strings.ReplaceAll(strings.TrimSpace(d.Doc.Text()), "\n", " "), ": ")
		if !ok {
			t.Fatal("a group of reason.go does not say what it is about, and how much it holds")
		}
		g := reasonGroup{about: about, holds: holds}
		for _, s := range d.Specs {
			s := s.(*ast.ValueSpec)
			reason, err := strconv.Unquote(s.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			g.reasons = append(g.reasons, reasonRow{s.Names[0].Name, reason, strings.TrimSpace(s.Doc.Text() + s.Comment.Text())})
		}
		out = append(out, g)
	}
	if len(out) == 0 {
		t.Fatal("no reasons found")
	}
	return out
}
