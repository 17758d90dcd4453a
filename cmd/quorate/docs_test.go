package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
			cmd, _, err := root.Find(words[:1])
			if err != nil || cmd == root {
				t.Errorf("%s: there is no verb %q", filepath.Base(doc), words[0])
				continue
			}
			seen[cmd.Name()] = true
			checkFlags(t, doc, cmd, words[1:])
		}
	}
	for _, c := range root.Commands() {
		if c.Name() != "help" && !seen[c.Name()] {
			t.Errorf("no document shows the verb %s", c.Name())
		}
	}
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
	for _, c := range root.Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue // cobra's own
		}
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s: no example or no short text", c.Name())
		}
		for _, m := range mention.FindAllStringSubmatch("    "+strings.ReplaceAll(c.Example, "\n", "\n  "), -1) {
			words := strings.Fields(m[1])
			cmd, _, err := root.Find(words[:1])
			if err != nil || cmd == root {
				t.Errorf("example of %s: there is no verb %q", c.Name(), words[0])
				continue
			}
			checkFlags(t, c.Name(), cmd, words[1:])
		}
	}
}

// Links between the documents lead somewhere.
func TestDocumentsLink(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, doc := range []string{"README.md", "CONTRIBUTING.md", "docs/spec.md", "docs/architecture.md"} {
		b, err := os.ReadFile(filepath.Join("../..", doc))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", doc, m[1])
			}
		}
	}
}
