package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quorate/cmd/quorate/internal/view"
)

// mention is quorate in code, with what follows on the line.
var mention = regexp.MustCompile("(?m)(?:^\\s{4,}|^\\$ |`|&& |\\$\\()(?:bin/)?quorate ([a-z][^`\n#|)]*)")

// Every verb and flag that the documents show is there.
func TestDocumentsNameRealVerbs(t *testing.T) {
	t.Parallel()
	root := newRootCommand(&process{})
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, doc := range append(docs, "../../README.md", "../../CONTRIBUTING.md") {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mention.FindAllStringSubmatch(string(b), -1) {
			words := strings.Fields(m[1])
			cmd, rest := verbOf(root, words)
			if cmd == root {
				t.Errorf("%s: there is no verb %q", filepath.Base(doc), words[0])
				continue
			}
			seen[cmd.CommandPath()] = true
			checkFlags(t, doc, cmd, rest)
		}
	}
	for _, c := range verbs(root) {
		if !c.HasSubCommands() && !seen[c.CommandPath()] {
			t.Errorf("no document shows the verb %s", c.CommandPath())
		}
	}
}

// verbOf is the verb that words begin with, root if there is none, and the words behind it.
func verbOf(root *cobra.Command, words []string) (*cobra.Command, []string) {
	cmd := root
	for len(words) > 0 {
		next, _, err := cmd.Find(words[:1])
		if err != nil || next == cmd {
			break
		}
		cmd, words = next, words[1:]
	}
	return cmd, words
}

// verbs are all of them, those below others too, but for cobra's own.
func verbs(root *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, c := range root.Commands() {
		if c.Name() != "help" && c.Name() != "completion" {
			out = append(append(out, c), verbs(c)...)
		}
	}
	return out
}

func checkFlags(t *testing.T, doc string, cmd *cobra.Command, words []string) {
	t.Helper()
	cmd.InitDefaultHelpFlag()
	for _, w := range words {
		name, _, _ := strings.Cut(strings.TrimRight(w, ".,;:)\""), "=")
		var f *pflag.Flag
		switch {
		case w == "--", cmd.Name() == "ctl":
			return // the rest is etcdctl's
		case strings.HasPrefix(name, "--"):
			if f = cmd.Flags().Lookup(name[2:]); f == nil {
				f = cmd.InheritedFlags().Lookup(name[2:])
			}
		case strings.HasPrefix(name, "-") && len(name) == 2:
			f = cmd.Flags().ShorthandLookup(name[1:])
		default:
			continue
		}
		if f == nil {
			t.Errorf("%s: %s has no flag %s", filepath.Base(doc), cmd.Name(), name)
		}
	}
}

// Every verb's help has an example that is itself right, and says what it is for.
func TestHelp(t *testing.T) {
	t.Parallel()
	root := newRootCommand(&process{})
	for _, c := range verbs(root) {
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s: no example or no short text", c.Name())
		}
		for _, m := range mention.FindAllStringSubmatch("    "+strings.ReplaceAll(c.Example, "\n", "\n  "), -1) {
			words := strings.Fields(m[1])
			cmd, rest := verbOf(root, words)
			if cmd == root {
				t.Errorf("example of %s: there is no verb %q", c.Name(), words[0])
				continue
			}
			checkFlags(t, c.Name(), cmd, rest)
		}
	}
}

// Links between the documents lead somewhere, those to a heading as well.
func TestDocumentsLink(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]+))?\)`)
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range append(docs, "../../README.md", "../../CONTRIBUTING.md") {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			target := doc
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(doc), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", doc, m[1])
			} else if m[2] != "" && !slices.Contains(anchors(t, target), m[2]) {
				t.Errorf("%s links to %s#%s, which is no heading there", doc, m[1], m[2])
			}
		}
	}
}

// anchors are what the headings of a document are linked by: in small letters, dashes for spaces, the rest of the punctuation left out.
func anchors(t *testing.T, doc string) []string {
	t.Helper()
	b, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(b), -1) {
		text := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		out = append(out, strings.ReplaceAll(text, " ", "-"))
	}
	return out
}

// The tests and files that the page on security names are there.
func TestSecurityNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range regexp.MustCompile(`[a-z_/]+/[a-z_]+\.(go|sh)\b`).FindAllString(string(b), -1) {
		if _, err := os.Stat(filepath.Join("../..", file)); err != nil {
			t.Error(err)
		}
	}
	there := map[string]bool{}
	err = filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(src), -1) {
			there[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(b), -1) {
		if !there[m[1]] {
			t.Errorf("there is no %s", m[1])
		}
	}
}

// Every field of the JSON of status is in the manual.
func TestDocumentsNameFieldsOfStatus(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, manual, ok := strings.Cut(string(b), "## The JSON of `status`")
	if !ok {
		t.Fatal("the manual has no section on it")
	}
	names := map[string]bool{}
	fields(reflect.TypeFor[view.Status](), names)
	for _, n := range []string{"voters_unknown", "raft_term", "not_after", "minority", "client_urls"} { // one of each type
		if !names[n] {
			t.Errorf("%q was not found", n)
		}
	}
	for n := range names {
		if !strings.Contains(manual, "`"+n+"`") {
			t.Errorf("the field %q is not in the manual", n)
		}
	}
}

// fields collects the JSON names of a type and of those inside it.
func fields(t reflect.Type, into map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		fields(t.Elem(), into)
	case reflect.Struct:
		for i := range t.NumField() {
			if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" {
				into[name] = true
				fields(t.Field(i).Type, into)
			}
		}
	}
}
