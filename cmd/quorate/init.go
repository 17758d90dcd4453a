package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"quorate/plan/spec"
	"quorate/provision/world"
)

// InitOptions of the verb init.
type InitOptions struct {
	Hosts []string
	Name  string
	Local bool
	Out   string
}

func newInitCommand(p *process) *cobra.Command {
	var o InitOptions
	cmd := &cobra.Command{
		Use:   "init {--host ADDRESS … | --local}",
		Short: "Write a starter spec",
		Long: `Write a starter spec: one member for each host, and every other setting as a
comment with its default. An existing file is never overwritten. Beside the spec
.gitignore is told to leave out keys, which apply will make in pki/, and .quorate/.`,
		Example: `  quorate init --host 192.168.7.101 --host 192.168.7.102 --host 192.168.7.103
  quorate init --local --name play        # three members on this machine
  quorate init --host node1 -o -          # print it`,
		Args: atMost(0),
		RunE: func(*cobra.Command, []string) error { return runInit(p, o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.Hosts, "host", nil, "address of a member's host; once for each")
	f.StringVar(&o.Name, "name", "lab", "name of the cluster")
	f.BoolVar(&o.Local, "local", false, "members on this machine: no SSH, no root")
	f.StringVarP(&o.Out, "out", "o", "main.hcl", "file to write; - is standard output")
	return cmd
}

func runInit(p *process, o InitOptions) error {
	text, err := spec.Starter(o.Hosts, spec.StarterOptions{Name: o.Name, Local: o.Local})
	if err != nil {
		return &usageError{err: err}
	}
	if o.Out == "-" {
		_, err := p.out.Write(text)
		return err
	}
	f, err := os.OpenFile(o.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return badUsage("cannot write %q: it is there already\n  choose another name with -o, or move it away", o.Out)
	}
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", o.Out, plain(err))
	}
	if _, err := f.Write(text); err != nil {
		_ = f.Close()
		return fmt.Errorf("cannot write %q: %w", o.Out, plain(err))
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("cannot write %q: %w", o.Out, plain(err))
	}
	dir := filepath.Dir(o.Out)
	if err := world.Ignore(dir, world.IgnoreKeys+".quorate/\n"); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "wrote %s; %s leaves keys out\n  see what it would do:  quorate plan\n  do it:                 quorate apply\n", o.Out, filepath.Join(dir, ".gitignore"))
	return nil
}
