package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
	"quorate/provision"
)

// PlanOptions of the verb plan.
type PlanOptions struct {
	specOptions
	hostOptions
	outputOptions
	Out              string
	DetailedExitcode bool
	Destroy          bool
	KeepData         bool
}

func newPlanCommand(p *process) *cobra.Command {
	var o PlanOptions
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what apply would do, and what it would refuse",
		Long: `Look at the hosts and the cluster, and show every step that leads to the spec:
file diffs, certificates, and how many voters are up and how many failures are
tolerated before, during and after each step. What would be unsafe is held, with
its reason, the numbers and the way out. Nothing is changed and no lock is taken.

With -o the plan is saved, to be reviewed and applied exactly: quorate apply FILE.
It holds no secret. It is refused if the world has moved meanwhile.

Exit codes: 0, or 4 if a held matter blocks everything. With --detailed-exitcode:
0 nothing to do, 3 changes are pending, 4 something is held.

With several clusters each has its plan, one after another; --json then prints
one document for each.`,
		Example: `  quorate plan
  quorate plan -f clusters/ --cluster lab -o lab.plan && quorate apply -f clusters/ lab.plan
  quorate plan --detailed-exitcode > /dev/null || echo drift or trouble
  quorate plan --json | jq .steps[].title
  quorate plan --destroy`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runPlan(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	f := cmd.Flags()
	o.specOptions.AddFlags(p, cmd)
	o.hostOptions.AddFlags(p, cmd, &o.specOptions)
	o.addPurge(cmd.Flags())
	o.addJSON(f, "print the plan as JSON")
	o.addDiff(cmd)
	f.StringVarP(&o.Out, "out", "o", "", "save the plan to this file")
	f.BoolVar(&o.DetailedExitcode, "detailed-exitcode", false, "tell by the exit code whether changes are pending (3) or held (4)")
	f.BoolVar(&o.Destroy, "destroy", false, "plan what destroy would do")
	f.BoolVar(&o.KeepData, "keep-data", false, "with --destroy: move data aside and keep it")
	return cmd
}

func runPlan(ctx context.Context, p *process, o PlanOptions, v view.Options) error {
	if err := o.check(); err != nil {
		return err
	}
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	if o.Out != "" && len(l.clusters) > 1 {
		return badUsage("a saved plan is for one cluster: say which with --cluster (the spec has %s)", view.List(l.names()))
	}
	how := look{hostOptions: o.hostOptions, build: plan.Build, keepData: o.KeepData}
	if o.Destroy {
		how.build = plan.BuildDestroy
	}
	return inOrder(ctx, p, l, how, func(j *job, following bool) (verdict, err error) {
		if err := showPlan(p, j, following, o.JSON, v); err != nil {
			return nil, err
		}
		if o.Out != "" {
			if err := savePlan(p, o, j.plan); err != nil {
				return nil, err
			}
		}
		return planExit(j.plan, o.DetailedExitcode), nil
	})
}

func (o *PlanOptions) check() error {
	if o.KeepData && !o.Destroy {
		return badUsage("--keep-data goes with --destroy")
	}
	if err := o.hostOptions.check(); err != nil {
		return err
	}
	return o.outputOptions.check()
}

// planExit is the exit code that a plan alone deserves.
func planExit(p *plan.Plan, detailed bool) error {
	switch {
	case p.Blocked(), detailed && len(p.Held) > 0:
		return said(exitHeld)
	case detailed && !p.Empty():
		return said(exitPending)
	}
	return nil
}

func showPlan(p *process, j *job, following, asJSON bool, v view.Options) error {
	if asJSON {
		b, err := json.MarshalIndent(struct {
			*plan.Plan
			Earlier *provision.KnownRun `json:"earlier_run,omitempty"`
		}{j.plan, j.left()}, "", "  ")
		if err == nil {
			_, err = p.out.Write(append(b, '\n'))
		}
		return err
	}
	if following {
		fmt.Fprintln(p.out)
	}
	if r := j.left(); r != nil {
		if err := view.Earlier(p.out, r, v); err != nil {
			return err
		}
	}
	if j.observed != nil && j.observed.CA.Exists {
		v.CAEnds = j.observed.CA.Cert.NotAfter
	}
	return view.Plan(p.out, j.plan, v)
}

// left is the latest run if it did not end well, and there is something to do: without that, nothing of it is left.
func (j *job) left() *provision.KnownRun {
	if j.plan.Empty() && len(j.plan.Held) == 0 {
		return nil
	}
	return j.earlier
}

// savePlan writes the plan for apply FILE. It holds no secret, but file
// contents of hosts: for the operator's eyes first.
func savePlan(p *process, o PlanOptions, pl *plan.Plan) error {
	b, err := pl.Encode()
	if err != nil {
		return err
	}
	if st, err := os.Stat(o.Out); err == nil && !st.Mode().IsRegular() {
		return fmt.Errorf("cannot save plan %q: what is there is no regular file\nname another one", o.Out)
	}
	if err := replaceFile(o.Out, b, 0o600); err != nil {
		return fmt.Errorf("cannot save plan %q: %w", o.Out, plain(err))
	}
	if !o.JSON {
		fmt.Fprintf(p.out, "saved as %s; apply it with:  quorate apply%s %s\n", o.Out, fileHint(o.specOptions), o.Out)
	}
	return nil
}

// fileHint is how to name the same spec again.
func fileHint(o specOptions) string {
	hint := ""
	if o.File != "." {
		hint += " -f " + shellQuote(o.File)
	}
	if o.Cluster != "" {
		hint += " --cluster " + o.Cluster
	}
	return hint
}
