package main

import (
	"fmt"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"quorate/plan/spec"
)

// ValidateOptions of the verb validate.
type ValidateOptions struct {
	specOptions
	outputOptions
}

func newValidateCommand(p *process) *cobra.Command {
	var o ValidateOptions
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a spec, without a look at any host",
		Long: `Check a spec and print every complaint at once, each with its file, line, an
excerpt and a way out. No host is contacted. Warnings alone leave it valid.`,
		Example: `  quorate validate
  quorate validate -f clusters/ --var site=hall2
  quorate validate --json`,
		Args: atMost(0),
		RunE: func(*cobra.Command, []string) error { return runValidate(p, o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.File, "file", "f", ".", "spec: an HCL file, or a folder whose *.hcl files are read")
	o.addVariables(f)
	o.addJSON(f, "print the complaints as JSON")
	return cmd
}

func runValidate(p *process, o ValidateOptions) error {
	l, err := readSpec(p, o.specOptions)
	if err != nil {
		return err
	}
	if o.JSON {
		err = writeJSON(p.out, map[string]any{"valid": !l.diags.HasErrors(), "diagnostics": spec.DiagnosticsJSON(l.diags)})
	} else if len(l.diags) > 0 {
		err = l.writeDiagnostics(p, p.err, p.errTerminal)
	}
	switch {
	case err != nil:
		return err
	case l.diags.HasErrors():
		return said(exitUsage)
	case !o.JSON:
		members := 0
		for _, c := range l.spec.Clusters {
			members += len(c.Members)
		}
		fmt.Fprintf(p.out, "the spec is valid: %s, %s\n", english.Plural(len(l.spec.Clusters), "cluster", "clusters"), english.Plural(members, "member", "members"))
	}
	return nil
}
