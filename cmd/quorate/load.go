package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"quorate/cmd/quorate/internal/view"
	"quorate/internal/sealed"
	"quorate/plan/spec"
)

// loaded is a spec that was read, with what its diagnostics need.
type loaded struct {
	spec  *spec.Spec  // nil if it is not usable
	dir   string      // absolute folder that its relative paths start from
	files []spec.File // with those of variables behind those of the spec
	// options are what it was read with.
	options spec.Options
	diags   hcl.Diagnostics
	// clusters are those that a verb works on: the one named, or all. Only loadSpec says.
	clusters []*spec.Cluster
}

// readSpec reads and judges the spec. What is wrong inside it is in diags;
// the error is about the command line and the files themselves.
func readSpec(p *process, o specOptions) (*loaded, error) {
	vars, err := variables(o.Vars)
	if err != nil {
		return nil, err
	}
	dir, files, err := specFiles(o.File)
	if err != nil {
		return nil, err
	}
	l := &loaded{files: files}
	if l.dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	opt := spec.Options{
		Dir: filepath.ToSlash(l.dir), Vars: vars, Env: p.lookup, ReadFile: os.ReadFile, Home: p.env("HOME"),
		Recipient: sealed.CheckRecipient, Identity: sealed.CheckIdentity,
	}
	if opt.VarFiles, err = readFiles("variable file", o.VarFiles); err != nil {
		return nil, err
	}
	l.spec, l.diags = spec.Load(files, opt)
	if l.spec != nil {
		p.filter.Hide(l.spec.Secrets()...)
	}
	l.options = opt
	l.files = append(l.files, opt.VarFiles...)
	return l, nil
}

// sources are the files of the spec itself.
func (l *loaded) sources() []spec.File { return l.files[:len(l.files)-len(l.options.VarFiles)] }

// edited is the spec after an edit.
func (l *loaded) edited(e *spec.Edit) *loaded {
	return &loaded{spec: e.Spec, dir: l.dir, files: append(slices.Clone(e.Files), l.options.VarFiles...), options: l.options, diags: e.Warnings}
}

// loadSpec is readSpec for verbs that need a usable spec, and in it the cluster
// that is named: complaints are printed, errors end the verb.
func loadSpec(p *process, o specOptions, asJSON bool) (*loaded, error) {
	l, err := readSpec(p, o)
	if err != nil {
		return nil, err
	}
	if err := l.complain(p, asJSON); err != nil {
		return nil, err
	}
	l.clusters, err = l.pick(o.Cluster)
	return l, err
}

// complain prints what is wrong with the spec; the error ends the verb.
func (l *loaded) complain(p *process, asJSON bool) error {
	if l.diags.HasErrors() && asJSON {
		if err := writeJSON(p.out, map[string]any{"diagnostics": spec.DiagnosticsJSON(l.diags)}); err != nil {
			return err
		}
		return said(exitUsage)
	}
	if len(l.diags) > 0 {
		if err := l.writeDiagnostics(p, p.err, p.errTerminal); err != nil {
			return err
		}
	}
	if l.diags.HasErrors() {
		return said(exitUsage)
	}
	return nil
}

func (l *loaded) writeDiagnostics(p *process, w io.Writer, terminal bool) error {
	width := 0
	if terminal {
		width = p.width
	}
	color := terminal && p.env("NO_COLOR") == "" && !slices.Contains(p.args, "--no-color")
	return spec.WriteDiagnostics(w, l.diags, l.files, width, color)
}

// specFiles reads the file, or the *.hcl files of the folder in the order of their names.
func specFiles(path string) (dir string, files []spec.File, err error) {
	names, err := hclFiles(path)
	if err != nil {
		return "", nil, err
	}
	if len(names) == 0 {
		return "", nil, badUsage("cannot find a spec: there is no *.hcl file in folder %q\n  name a file or folder with --file, or write one with `quorate init --host ADDRESS …`", path)
	}
	files, err = readFiles("spec", names)
	return filepath.Dir(names[0]), files, err
}

// hclFiles are the *.hcl files of a folder; anything else is a file itself.
func hclFiles(path string) ([]string, error) {
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		return []string{path}, nil
	}
	noPattern := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)
	return filepath.Glob(filepath.Join(noPattern.Replace(path), "*.hcl"))
}

// readFiles reads files; what says of what kind they are.
func readFiles(what string, names []string) ([]spec.File, error) {
	var files []spec.File
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, badUsage("cannot read %s %q: %w", what, name, plain(err))
		}
		files = append(files, spec.File{Name: name, Bytes: b})
	}
	return files, nil
}

// variables parses --var NAME=VALUE.
func variables(args []string) (map[string]string, error) {
	vars := map[string]string{}
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			// Not quoted whole: what was meant as a value may be a secret.
			return nil, badUsage("--var wants NAME=VALUE")
		}
		vars[name] = value
	}
	return vars, nil
}

// pick selects the clusters to work on: the one named, or all.
func (l *loaded) pick(name string) ([]*spec.Cluster, error) {
	if name == "" {
		return l.spec.Clusters, nil
	}
	c := l.spec.Cluster(name)
	if c == nil {
		return nil, badUsage("the spec has no cluster %q; it has %s", name, view.List(l.names()))
	}
	return []*spec.Cluster{c}, nil
}

// one selects a single cluster; with several the name must be given.
func (l *loaded) one(name string) (*spec.Cluster, error) {
	cs, err := l.pick(name)
	if err != nil {
		return nil, err
	}
	if len(cs) != 1 {
		return nil, badUsage("the spec has several clusters (%s): say which with --cluster", view.List(l.names()))
	}
	return cs[0], nil
}

// names of all clusters.
func (l *loaded) names() []string {
	var out []string
	for _, c := range l.spec.Clusters {
		out = append(out, c.Name)
	}
	return out
}

// plain takes the operation and the path, which the message has already, off a file error.
func plain(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// writeJSON prints one indented document.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("cannot write the output: %w", err)
	}
	return nil
}
