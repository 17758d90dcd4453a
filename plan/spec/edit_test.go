package spec

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/pmezard/go-difflib/difflib"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"
)

// TestEdits: each story is a spec of one or more files, with the edits that
// are tried on it, each on the spec as it is, and what comes of each: the
// difference and the notes, or the error. "var", "env" and "varfile" are as in story.
func TestEdits(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/edit/*.txt")
	if err != nil || len(paths) < 8 {
		t.Fatalf("%d stories, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, o := storyOf("story", a.Comment)
			var files []File
			for _, f := range a.Files {
				if f.Name != "want" {
					files = append(files, File{f.Name, f.Data})
				}
			}
			var out strings.Builder
			for line := range strings.Lines(string(a.Comment)) {
				line = strings.TrimSpace(line)
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				if out.Len() > 0 {
					out.WriteString("\n")
				}
				fmt.Fprintf(&out, "> %s\n%s", line, tell(t, files, o, strings.Fields(line)))
			}
			a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
			a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(out.String())})
			golden(t, path, string(txtar.Format(a)))
		})
	}
}

// tell carries one edit out and says what came of it.
func tell(t *testing.T, files []File, o Options, words []string) string {
	e, err := edit(files, o, words)
	if err != nil {
		return err.Error() + "\n"
	}
	checkEdit(t, files, o, e)
	d, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: difflib.SplitLines(string(e.Before)), B: difflib.SplitLines(string(e.After)), FromFile: e.File, ToFile: e.File, Context: 2})
	if err != nil {
		t.Fatal(err)
	}
	d = strings.TrimSuffix(d, "\n\n") + "\n"
	for _, n := range e.Notes {
		d += "note: " + n + "\n"
	}
	return d
}

// edit is one edit in words: add CLUSTER NAME ADDRESS [CLIENT PEER], remove
// CLUSTER NAME…, replace CLUSTER OLD NAME ADDRESS [CLIENT PEER].
func edit(files []File, o Options, words []string) (*Edit, error) {
	member := func(w []string) NewMember {
		m := NewMember{Name: w[0], Address: w[1]}
		if len(w) == 4 {
			m.ClientPort, _ = strconv.Atoi(w[2])
			m.PeerPort, _ = strconv.Atoi(w[3])
		}
		return m
	}
	switch words[0] {
	case "add":
		return AddMember(files, o, words[1], member(words[2:]))
	case "replace":
		return ReplaceMember(files, o, words[1], words[2], member(words[3:]))
	}
	return RemoveMembers(files, o, words[1], words[2:]...)
}

// checkEdit holds of every edit: one file has changed, that is what loads, and fmt leaves it alone if it did before.
func checkEdit(t interface{ Errorf(string, ...any) }, files []File, o Options, e *Edit) {
	changed := 0
	for i, f := range e.Files {
		if f.Name != files[i].Name || !bytes.Equal(f.Bytes, files[i].Bytes) {
			changed++
			if f.Name != e.File || !bytes.Equal(f.Bytes, e.After) || !bytes.Equal(files[i].Bytes, e.Before) {
				t.Errorf("%s is not what was to be edited: %s", f.Name, e.File)
			}
		}
	}
	if changed != 1 {
		t.Errorf("%d files have changed", changed)
	}
	if s, diags := Load(e.Files, o); s == nil {
		t.Errorf("it does not load: %v", diags)
	}
	if bytes.Equal(Format(e.Before), e.Before) && !bytes.Equal(Format(e.After), e.After) {
		t.Errorf("fmt would change it:\n%s", e.After)
	}
}

// comments of a source that do not touch the bytes from start to end, each trimmed.
func comments(src []byte, start, end int) []string {
	var out []string
	for _, t := range newSource("x", src).tokens {
		if t.Type == hclsyntax.TokenComment && (t.Range.End.Byte <= start || t.Range.Start.Byte >= end) {
			out = append(out, strings.TrimSpace(string(t.Bytes)))
		}
	}
	return out
}

// lost are the comments of before that are not in after.
func lost(before, after []string) []string {
	var out []string
	for _, c := range before {
		if i := slices.Index(after, c); i >= 0 {
			after = slices.Delete(slices.Clone(after), i, i+1)
			continue
		}
		out = append(out, c)
	}
	return out
}

// checkEdits tries all edits on a spec that loads: each is an error, or gives exactly that change and
// keeps every comment outside of the member's block and the lines directly above it. It says how many were no error.
func checkEdits(t interface{ Errorf(string, ...any) }, name string, files []File, o Options) (done int) {
	s, _ := Load(files, o)
	if s == nil {
		return 0
	}
	judge := func(what string, gone *Member, e *Edit, err error, want func(c *Cluster) string) {
		var byHand *ByHandError
		switch {
		case errors.As(err, &byHand) && byHand.At.Filename == "" && !strings.Contains(byHand.Cause, "comes from"):
			t.Errorf("%s: %s: no place is named: %v", name, what, err)
		case err == nil:
			done++
			checkEdit(t, files, o, e)
			if got := want(e.Spec.Cluster(strings.Fields(what)[1])); got != "" {
				t.Errorf("%s: %s: %s\n%s", name, what, got, e.After)
			}
			start, end := 0, 0
			if gone != nil {
				start, end = reach(e.Before, gone)
			}
			if l := lost(comments(e.Before, start, end), comments(e.After, 0, 0)); len(l) > 0 {
				t.Errorf("%s: %s: lost the comments %q\n%s\n---- to\n%s", name, what, l, e.Before, e.After)
			}
		}
	}
	for _, c := range s.Clusters {
		added := NewMember{Name: "newcomer", Address: "192.0.2.250"}
		e, err := AddMember(files, o, c.Name, added)
		judge("add "+c.Name, nil, e, err, func(is *Cluster) string {
			m := is.Member("newcomer")
			if m == nil || m.Address != added.Address || len(is.Members) != len(c.Members)+1 {
				return "it is not there"
			}
			return ""
		})
		for i, m := range c.Members {
			e, err := RemoveMembers(files, o, c.Name, m.Name)
			judge("remove "+c.Name+" "+m.Name, m, e, err, func(is *Cluster) string {
				if is.Member(m.Name) != nil || len(is.Members) != len(c.Members)-1 {
					return "it is still there"
				}
				return ""
			})
			e, err = ReplaceMember(files, o, c.Name, m.Name, added)
			judge("replace "+c.Name+" "+m.Name, m, e, err, func(is *Cluster) string {
				if len(is.Members) != len(c.Members) || is.Members[i].Name != "newcomer" || is.Members[i].MetricsPort != m.MetricsPort {
					return "it is not in its place"
				}
				return ""
			})
		}
	}
	return done
}

// reach is where a member's block and its comments may be: from the line of the first comment directly above it.
func reach(src []byte, m *Member) (start, end int) {
	text := newSource("x", src)
	start = text.lineStart(m.Range.Start.Byte)
	for line := text.lineStart(start); line > 0; line = text.lineStart(line - 1) {
		above := strings.TrimSpace(string(src[text.lineStart(line-1):line]))
		if above == "" || strings.HasSuffix(above, "{") || strings.HasSuffix(above, "}") {
			break
		}
		start = text.lineStart(line - 1)
	}
	depth, open := 0, false
	for _, t := range text.tokens[text.tokenAt(m.Range.Start.Byte):] {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth, open = depth+1, true
		case hclsyntax.TokenCBrace, hclsyntax.TokenTemplateSeqEnd:
			depth--
		}
		if open && depth == 0 && endsLine(t) {
			return start, t.Range.End.Byte
		}
	}
	return start, len(src)
}

// TestEditsOfEverySpec tries all edits on every spec of this repository.
func TestEditsOfEverySpec(t *testing.T) {
	t.Parallel()
	done := 0
	for name, src := range sources(t) {
		files, o := storyOf(name, src)
		done += checkEdits(t, name, files, o)
	}
	t.Logf("%d edits", done)
	if done < 50 {
		t.Errorf("only %d edits worked", done)
	}
}

// TestEditsOfAnySpec: specs put together out of pieces, laid out well or badly.
func TestEditsOfAnySpec(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		eol := rapid.SampledFrom([]string{"\n", "\n", "\n", "\r\n"}).Draw(t, "eol")
		note := 0
		filler := rapid.SampledFrom([]string{"", "", "\n", "# NOTE\n", "# NOTE\n\n", "\n# NOTE\n", "// NOTE\n", "/* NOTE */\n", "/* NOTE\n */\n\n"})
		write := func(s string) {
			for strings.Contains(s, "NOTE") {
				note++
				s = strings.Replace(s, "NOTE", fmt.Sprintf("%d", note), 1)
			}
			b.WriteString(strings.ReplaceAll(s, "\n", eol))
		}
		clusters := rapid.IntRange(1, 2).Draw(t, "clusters")
		for c := range clusters {
			local := rapid.IntRange(0, 3).Draw(t, "local") == 0
			write(filler.Draw(t, "before"))
			write(fmt.Sprintf("cluster \"c%d\" {\n", c))
			if local {
				write("  connection {\n    type = \"local\"\n  } # NOTE\n")
			}
			for i := range rapid.IntRange(1, 3).Draw(t, "members") {
				address := fmt.Sprintf("192.168.%d.%d", c, i+1)
				if local {
					address = fmt.Sprintf("127.0.0.%d", c+1)
				}
				write(filler.Draw(t, "above"))
				shapes := []string{
					"  member \"NAME\" { address = \"ADDR\" }\n",
					"  member \"NAME\" { address = \"ADDR\" } # NOTE\n",
					"member   \"NAME\"   {   address=\"ADDR\"   }\n",
					"  /* NOTE */ member \"NAME\" { address = \"ADDR\" /* NOTE */ } /* NOTE */\n",
					"  member \"NAME\" {\n    address = \"ADDR\" # NOTE\n    # NOTE\n    extra_sans = [\"a.example.com\"]\n  }\n",
					"  member NAME {\n    address = trimspace(<<EOT\nADDR\nEOT\n    )\n    metrics_port = 2381 + 0 # NOTE\n  }\n",
					"  dynamic \"member\" {\n    for_each = { NAME = \"ADDR\" } # NOTE\n    labels = [member.key]\n    content {\n      address = member.value\n    }\n  }\n",
				}
				if !local {
					shapes = append(shapes,
						"  member \"NAME\" {\n    address = \"ADDR\"\n\n    # NOTE\n    connection {\n      # NOTE\n      host = \"h.example.com\" # NOTE\n      port = 2222\n    }\n  }\n",
						"  member \"NAME\" {\n    address = \"ADDR\"\n    connection { host = \"h.example.com\" }\n  } // NOTE\n",
						"  member \"NAME\" {\n    connection {\n      host_keys = [\"SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s\"]\n    }\n    address = \"ADDR\"\n    client_port = null\n  }\n")
				}
				write(strings.NewReplacer("NAME", fmt.Sprintf("m%d", i), "ADDR", address).Replace(rapid.SampledFrom(shapes).Draw(t, "member")))
			}
			write(filler.Draw(t, "behind"))
			write(rapid.SampledFrom([]string{"", "  client \"x\" {}\n", "\n  # NOTE\n  client \"x\" {}\n"}).Draw(t, "client"))
			write("}\n")
		}
		src := []byte(strings.TrimSuffix(b.String(), rapid.SampledFrom([]string{"", eol}).Draw(t, "end")))
		if rapid.Bool().Draw(t, "formatted") {
			src = Format(src)
		}
		checkEdits(t, "any.hcl", []File{{"any.hcl", src}}, Options{})
	})
}
