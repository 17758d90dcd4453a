package spec

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

// TestManual compares docs/spec.md with the schema, both ways: each block has
// its table behind a marker, with every attribute, its type, default and
// meaning, and nothing else. -update rewrites the tables and leaves the prose.
func TestManual(t *testing.T) {
	t.Parallel()
	const path = "../../docs/spec.md"
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]string{"functions": functionTable()}
	var walk func(prefix string, b *block)
	walk = func(prefix string, b *block) {
		name := prefix + b.name
		if name != "cluster.member.connection" && name != "cluster.host.connection" { // the same as cluster.connection, and documented there
			tables[name] = attributeTable(b)
		}
		for _, c := range b.blocks {
			walk(name+".", c)
		}
	}
	for _, b := range rootBlock().blocks {
		walk("", b)
	}
	seen := map[string]bool{}
	marker := regexp.MustCompile(`(?s)<!-- table: ([a-z.]+) -->\n(.*?)<!-- end -->\n`)
	got := marker.ReplaceAllStringFunc(string(src), func(found string) string {
		m := marker.FindStringSubmatch(found)
		table, ok := tables[m[1]]
		switch {
		case !ok:
			t.Errorf("the manual has a table for %q, and there is no such block", m[1])
			return found
		case seen[m[1]]:
			t.Errorf("the manual has two tables for %q", m[1])
		}
		seen[m[1]] = true
		return fmt.Sprintf("<!-- table: %s -->\n%s<!-- end -->\n", m[1], table)
	})
	for name := range tables {
		if !seen[name] {
			t.Errorf("the manual has no table for %q", name)
		}
	}
	golden(t, path, got)
}

func attributeTable(b *block) string {
	if len(b.attrs) == 0 {
		return ""
	}
	var out strings.Builder
	out.WriteString("\n| attribute | type | default | meaning |\n|---|---|---|---|\n")
	for _, a := range b.attrs {
		def := "`" + a.def + "`"
		switch {
		case a.required:
			def = "**required**"
		case a.def == "":
			def = a.unset
		}
		typ := string(a.kind)
		if len(a.oneOf) > 0 {
			typ = "one of `" + strings.Join(a.oneOf, "`, `") + "`"
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", a.name, typ, def, strings.ReplaceAll(a.doc, "|", "\\|"))
	}
	return out.String() + "\n"
}

func functionTable() string {
	names := sortedKeys((&loader{}).functions())
	return "\n`" + strings.Join(names, "`, `") + "`.\n\n"
}

// TestManualExamples: what the manual shows as a spec is one.
func TestManualExamples(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("../../docs/spec.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(src), -1)
	if len(blocks) < 10 {
		t.Fatalf("only %d examples in the manual", len(blocks))
	}
	for i, m := range blocks {
		text := m[1]
		if string(Format([]byte(text))) != text {
			t.Errorf("example %d is not formatted:\n%s", i, text)
		}
		switch {
		case strings.Contains(text, "cluster \""):
		case regexp.MustCompile(`(?m)^(variable|locals)\b`).MatchString(text):
			text += "cluster \"lab\" {\n  member \"etcd1\" { address = \"192.168.7.101\" }\n}\n"
		case regexp.MustCompile(`(?m)^(member|dynamic "member")\b`).MatchString(text):
			text = "cluster \"lab\" {\n" + text + "}\n"
		default:
			text = "cluster \"lab\" {\n  member \"etcd1\" { address = \"192.168.7.101\" }\n" + text + "}\n"
		}
		env := func(name string) (string, bool) { return "from-the-environment", !strings.HasPrefix(name, EnvPrefix) }
		files := []File{{"manual.hcl", []byte(text)}}
		if _, diags := Load(files, Options{Env: env, Vars: map[string]string{}}); diags.HasErrors() {
			var out strings.Builder
			_ = WriteDiagnostics(&out, diags, files, 78, false)
			t.Errorf("example %d:\n%s\n%s", i, text, out.String())
		}
	}
}

// TestSchema: every default is one that its attribute accepts, and every
// attribute tells what it is and how it is written.
func TestSchema(t *testing.T) {
	t.Parallel()
	l := &loader{defaults: map[*attribute]value{}}
	var walk func(b *block)
	walk = func(b *block) {
		if b.doc == "" && b.name != "" {
			t.Errorf("block %q has no doc", b.name)
		}
		for _, a := range b.attrs {
			l.defaultValue(a, nil, hcl.Range{}) // panics if it is wrong
			if a.doc == "" || a.sample() == "" || (a.def == "" && a.unset == "" && !a.required) {
				t.Errorf("attribute %q of block %q is not described: %+v", a.name, b.name, a)
			}
			if strings.HasSuffix(a.doc, ".") {
				t.Errorf("the doc of %q ends with a full stop", a.name)
			}
		}
		for _, c := range b.blocks {
			walk(c)
		}
	}
	walk(rootBlock())
}
