package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
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
		names, err := hclFiles(a)
		format := formatFile
		if a == "-" {
			names, format, err = []string{a}, formatStream, nil
		}
		errs = append(errs, err)
		for _, name := range names {
			c, err := format(p, o, name)
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

func formatStream(p *process, o FmtOptions, _ string) (bool, error) {
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
	real, err := filepath.EvalSymlinks(name) // a link stays a link
	if err == nil {
		var st os.FileInfo
		if st, err = os.Stat(real); err == nil {
			err = replaceFile(real, out, st.Mode().Perm())
		}
	}
	if err != nil {
		return true, fmt.Errorf("cannot write %q: %w", name, plain(err))
	}
	return true, nil
}

// format lays src out; source that does not parse is an error that points at the place.
func format(name string, src []byte) ([]byte, error) {
	if _, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos); diags.HasErrors() {
		return nil, fmt.Errorf("cannot format %q: %w", name, diags)
	}
	return spec.Format(src), nil
}

// replaceFile writes beside the file and renames, so that a reader sees the
// old text or the new one. A link is replaced, not followed.
func replaceFile(name string, text []byte, mode fs.FileMode) error {
	// Not WriteFile, which would keep the mode of the file that is there.
	f, err := renameio.NewPendingFile(name, renameio.WithTempDir(filepath.Dir(name)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
