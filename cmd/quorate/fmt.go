package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"quorate/plan/spec"
)

// FmtOptions of the verb fmt.
type FmtOptions struct {
	Check bool
}

func newFmtCommand(p *process) *cobra.Command {
	var o FmtOptions
	cmd := &cobra.Command{
		Use:   "fmt [FILE | FOLDER | -]…",
		Short: "Lay spec files out canonically",
		Long: `Rewrite spec files in the canonical layout and print the names of those that
changed. Meaning and comments stay. Without arguments the *.hcl files of the
current folder; - formats standard input to standard output.`,
		Example: `  quorate fmt
  quorate fmt --check clusters/     # exit code 3 if something is to be done
  quorate fmt - < main.hcl`,
		RunE: func(_ *cobra.Command, args []string) error { return runFmt(p, o, args) },
	}
	cmd.Flags().BoolVar(&o.Check, "check", false, "change nothing; exit code 3 if a file is not laid out so")
	return cmd
}

func runFmt(p *process, o FmtOptions, args []string) error {
	if len(args) == 0 {
		args = []string{"."}
	}
	changed := false
	var errs []error
	for _, a := range args {
		if a == "-" {
			c, err := formatStream(p, o)
			changed = changed || c
			errs = append(errs, err)
			continue
		}
		names := []string{a}
		if st, err := os.Stat(a); err == nil && st.IsDir() {
			if names, err = filepath.Glob(filepath.Join(globSafe(a), "*.hcl")); err != nil {
				return err
			}
		}
		for _, name := range names {
			c, err := formatFile(p, o, name)
			changed = changed || c
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &usageError{err: err}
	}
	if o.Check && changed {
		return said(exitPending)
	}
	return nil
}

func formatStream(p *process, o FmtOptions) (bool, error) {
	src, err := io.ReadAll(p.in)
	if err != nil {
		return false, fmt.Errorf("cannot read standard input: %w", err)
	}
	out, err := format("standard input", src)
	if err != nil {
		return false, err
	}
	if !o.Check {
		_, err = p.out.Write(out)
	}
	return !bytes.Equal(src, out), err
}

func formatFile(p *process, o FmtOptions, name string) (bool, error) {
	src, err := os.ReadFile(name)
	if err != nil {
		return false, fmt.Errorf("cannot read %q: %w", name, plain(err))
	}
	out, err := format(name, src)
	if err != nil || bytes.Equal(src, out) {
		return false, err
	}
	fmt.Fprintln(p.out, name)
	if o.Check {
		return true, nil
	}
	return true, replaceFile(name, out)
}

// format lays src out; source that does not parse is an error that points at the place.
func format(name string, src []byte) ([]byte, error) {
	if _, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos); diags.HasErrors() {
		return nil, fmt.Errorf("cannot format %q: %w", name, diags)
	}
	return spec.Format(src), nil
}

// replaceFile writes beside the file and renames, so that a reader sees the
// old text or the new one. The mode stays.
func replaceFile(name string, text []byte) error {
	fail := func(err error) error { return fmt.Errorf("cannot write %q: %w", name, plain(err)) }
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real // the link stays a link
	}
	st, err := os.Stat(name)
	if err != nil {
		return fail(err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".fmt-*")
	if err != nil {
		return fail(err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(st.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fail(err)
	}
	return nil
}
