package spec

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pmezard/go-difflib/difflib"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// story reads a spec from testdata with the world that its "#!" lines describe:
//
//	#! var NAME=VALUE        --var
//	#! env NAME=VALUE        an environment variable; \n is a line break
//	#! varfile TEXT          a variable file of one line
func story(t testing.TB, path string) ([]File, Options) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return storyOf(filepath.Base(path), src)
}

func storyOf(name string, src []byte) ([]File, Options) {
	env := map[string]string{}
	o := Options{
		Vars:     map[string]string{},
		Home:     "/home/op",
		Env:      func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile: func(name string) ([]byte, error) { return nil, fmt.Errorf("open %s: no such file", name) },
	}
	files := []File{{Name: name, Bytes: src}}
	for line := range strings.Lines(string(src)) {
		word, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "#! "), " ")
		if !strings.HasPrefix(line, "#! ") || !ok {
			continue
		}
		name, value, _ := strings.Cut(rest, "=")
		switch word {
		case "var":
			o.Vars[name] = value
		case "env":
			env[name] = strings.ReplaceAll(value, `\n`, "\n")
		case "varfile":
			o.VarFiles = append(o.VarFiles, File{Name: "values.hclvars", Bytes: []byte(rest + "\n")})
		}
	}
	return files, o
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v\nrun go test -update, and read what it wrote", err)
	}
	if got != string(want) {
		diff, _ := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: difflib.SplitLines(string(want)), B: difflib.SplitLines(got), FromFile: path, ToFile: "now", Context: 3})
		t.Errorf("%s", diff)
	}
}

// TestBad: every wrong spec is refused, with exactly these words and places.
func TestBad(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/bad/*.hcl")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d wrong specs, %v", len(paths), err)
	}
	goldens, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range goldens {
		if spec := strings.TrimSuffix(g, ".txt") + ".hcl"; !slices.Contains(paths, spec) {
			t.Errorf("%s is of no spec", g)
		}
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".hcl"), func(t *testing.T) {
			t.Parallel()
			files, o := story(t, path)
			s, diags := Load(files, o)
			if s != nil || !diags.HasErrors() {
				t.Fatal("it loads")
			}
			var out bytes.Buffer
			if err := WriteDiagnostics(&out, diags, append(files, o.VarFiles...), 78, false); err != nil {
				t.Fatal(err)
			}
			for _, d := range diags {
				if d.Subject != nil && d.Subject.Start.Line > 0 && strings.TrimSpace(d.Detail[strings.LastIndex(d.Detail, "\n")+1:]) == "" {
					t.Errorf("no way out: %s", d.Summary)
				}
			}
			for _, secret := range []string{"hunter2", "tops3cret", "correct horse"} {
				if text := out.String(); strings.Contains(text, secret) && !strings.Contains(path, "url-password") {
					t.Errorf("the secret %q is shown:\n%s", secret, text)
				}
			}
			golden(t, strings.TrimSuffix(path, ".hcl")+".txt", out.String())
		})
	}
}
