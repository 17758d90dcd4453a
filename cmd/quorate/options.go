package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
)

// specOptions say which spec, and which cluster of it.
type specOptions struct {
	File     string
	Cluster  string
	Vars     []string
	VarFiles []string
}

func (o *specOptions) AddFlags(p *process, cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.File, "file", "f", ".", "spec: an HCL file, or a folder whose *.hcl files are read")
	f.StringVar(&o.Cluster, "cluster", "", "name of the cluster, where the spec has several")
	o.addVariables(f)
	o.complete(p, cmd, "cluster", (*loaded).names)
}

// complete has the shell complete a flag to words of the spec; a bad one completes to nothing.
func (o *specOptions) complete(p *process, cmd *cobra.Command, flag string, words func(*loaded) []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var out []string
		if l, err := readSpec(p, *o); err == nil && l.spec != nil {
			out = words(l)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	})
}

func (o *specOptions) addVariables(f *pflag.FlagSet) {
	f.StringArrayVar(&o.Vars, "var", nil, "value of a variable, `NAME=VALUE`; wins over QUORATE_VAR_NAME and --var-file")
	f.StringArrayVar(&o.VarFiles, "var-file", nil, "file with values of variables; a later one wins")
}

// hostOptions say how hosts are dealt with.
type hostOptions struct {
	Parallelism int
	// Client is the client block whose certificate the members are asked with; "" chooses.
	Client string
	// Accept are reasons that may be passed over, see [plan.Acceptable].
	Accept []plan.Reason
	// Purge deletes the data of members that are expelled.
	Purge bool
	// SkipUnreachable has a destroy go on with the hosts that answer.
	SkipUnreachable bool
}

func (o *hostOptions) AddFlags(p *process, cmd *cobra.Command, s *specOptions) {
	f := cmd.Flags()
	f.IntVar(&o.Parallelism, "parallelism", 10, "how many steps, and clusters looked at, at a time; 0 is no bound")
	o.addClient(p, cmd, s)
	f.Func("accept", "pass over a `REASON` that would be held: "+acceptable(), func(r string) error {
		o.Accept = append(o.Accept, plan.Reason(r))
		return nil
	})
}

// acceptable are the reasons that may be passed over, in words.
func acceptable() string {
	var out []string
	for _, r := range plan.Acceptable() {
		out = append(out, string(r))
	}
	return strings.Join(out, ", ")
}

// addPurge adds the flag for the verbs whose plans may expel members.
func (o *hostOptions) addPurge(f *pflag.FlagSet) {
	f.BoolVar(&o.Purge, "purge", false, "delete the data of members that are expelled, instead of moving it aside on their hosts")
}

func (o *hostOptions) addClient(p *process, cmd *cobra.Command, s *specOptions) {
	addClient(p, cmd, &o.Client, s, "ask the members with the certificate of this client block; the CA's key is not touched")
}

// addClient adds the flag that names a client block of the spec.
func addClient(p *process, cmd *cobra.Command, into *string, s *specOptions, text string) {
	cmd.Flags().StringVar(into, "client", "", text)
	s.complete(p, cmd, "client", func(l *loaded) []string {
		c, err := l.one(s.Cluster)
		if err != nil {
			return nil
		}
		return clientNames(c)
	})
}

func (o *hostOptions) check() error {
	if o.Parallelism < 0 {
		return badUsage("--parallelism cannot be negative")
	}
	for _, r := range o.Accept {
		if !slices.Contains(plan.Acceptable(), r) {
			return badUsage("--accept cannot be %q: what can be passed over is %s", r, acceptable())
		}
	}
	return nil
}

// runOptions belong to the verbs that change things.
type runOptions struct {
	AutoApprove bool
	LockTimeout time.Duration
	// Remove are names or ids of members that answer and may be expelled.
	Remove []string
}

func (o *runOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVarP(&o.AutoApprove, "auto-approve", "y", false, "do not ask")
	addLockTimeout(f, &o.LockTimeout)
}

// addLockTimeout adds the flag for how long another run is waited for.
func addLockTimeout(f *pflag.FlagSet, into *time.Duration) {
	f.DurationVar(into, "lock-timeout", 0, "how long to wait for another run's lock")
}

// addRemove adds the flag for the verbs whose plans may expel members.
func (o *runOptions) addRemove(f *pflag.FlagSet) {
	f.StringArrayVar(&o.Remove, "remove", nil, "expel the member `NAME` although it answers, without asking for its name; may be given several times")
}

// outputOptions say how to print.
type outputOptions struct {
	JSON bool
	Diff string
}

func (o *outputOptions) addJSON(f *pflag.FlagSet, text string) {
	f.BoolVar(&o.JSON, "json", false, text)
}

func (o *outputOptions) addDiff(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.Diff, "diff", string(view.DiffChanged), "file contents to show: changed (of files that are there), all (new ones too), none")
	_ = cmd.RegisterFlagCompletionFunc("diff", cobra.FixedCompletions([]string{"changed", "all", "none"}, cobra.ShellCompDirectiveNoFileComp))
}

func (o *outputOptions) check() error {
	switch view.Diff(o.Diff) {
	case "", view.DiffChanged, view.DiffAll, view.DiffNone:
		return nil
	}
	return badUsage("--diff cannot be %q: choose changed, all or none", o.Diff)
}

// viewOptions are how to draw on standard output.
func viewOptions(p *process, cmd *cobra.Command, o outputOptions) view.Options {
	off, _ := cmd.Flags().GetBool("no-color")
	v := view.Options{Color: p.outTerminal && !off && p.env("NO_COLOR") == "" && p.env("TERM") != "dumb", Now: p.now(), Diff: view.Diff(o.Diff), Text: p.filter.Text}
	if p.outTerminal {
		v.Width = p.width
	}
	return v
}
