package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
)

// DestroyOptions of the verb destroy.
type DestroyOptions struct {
	specOptions
	hostOptions
	runOptions
	outputOptions
	KeepData bool
	Forget   bool
}

func newDestroyCommand(p *process) *cobra.Command {
	var o DestroyOptions
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Remove one cluster and everything apply made",
		Long: `Stop the members of one cluster and remove what apply made: units, files,
binaries, data, and on this side the CA and the client certificates. Data that
the cluster did not make is held, never removed. It asks for the cluster's name
unless -y is given.

With --keep-data the data directories are moved aside and named. A cluster that
was formed and that none of the spec's hosts knows is held, since its CA may be
the one of a cluster that lives elsewhere: --forget moves the CA and what was
noted down of it aside, and a later apply makes a new cluster.`,
		Example: `  quorate destroy
  quorate destroy --cluster lab --keep-data
  quorate plan --destroy                   # see first what would be removed`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDestroy(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	f := cmd.Flags()
	o.specOptions.AddFlags(p, cmd)
	o.hostOptions.AddFlags(p, cmd, &o.specOptions)
	o.runOptions.AddFlags(f)
	f.BoolVar(&o.SkipUnreachable, "skip-unreachable", false, "go on with the hosts that answer and hold what belongs to the others")
	o.addJSON(f, "print the plan, events and report as JSON, one a line")
	f.BoolVar(&o.KeepData, "keep-data", false, "move data aside and keep it")
	f.BoolVar(&o.Forget, "forget", false, "of a cluster that no host knows: move what this side holds of it aside")
	return cmd
}

func runDestroy(ctx context.Context, p *process, o DestroyOptions, v view.Options) error {
	if err := errors.Join(o.hostOptions.check(), o.outputOptions.check()); err != nil {
		return err
	}
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	cluster, err := l.one(o.Cluster)
	if err != nil {
		return err
	}
	jobs := prepare(ctx, p, l, look{
		hostOptions: o.hostOptions, lock: plan.Destroy, wait: o.LockTimeout, build: plan.BuildDestroy, keepData: o.KeepData, forget: o.Forget,
	})
	defer closeAll(jobs)
	if err := worstError(p, jobs); err != nil {
		return err
	}
	c := &carrying{p: p, run: o.runOptions, json: o.JSON, parallel: o.Parallelism, v: v, confirm: cluster.Name}
	return c.all(ctx, jobs)
}
