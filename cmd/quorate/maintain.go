package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
)

// maintenanceOptions belong to the verbs that look after what members store.
type maintenanceOptions struct {
	specOptions
	hostOptions
	runOptions
	outputOptions
}

func (o *maintenanceOptions) addFlags(p *process, cmd *cobra.Command) {
	f := cmd.Flags()
	o.specOptions.AddFlags(p, cmd)
	f.IntVar(&o.Parallelism, "parallelism", 10, "how many clusters are looked at at a time; 0 is no bound")
	o.addClient(p, cmd, &o.specOptions)
	o.runOptions.AddFlags(f)
	o.addJSON(f, "print the plan, events and report as JSON, one a line")
}

// addKeep adds the flag for how much history a compaction keeps.
func addKeep(cmd *cobra.Command, into *int64, def int64, text string) {
	cmd.Flags().Int64Var(into, "keep", def, text)
}

// carryOut plans under the clusters' locks, shows, asks, and carries out.
func (o *maintenanceOptions) carryOut(ctx context.Context, p *process, l *loaded, verb plan.Verb, build builder, v view.Options) error {
	jobs := prepare(ctx, p, l, look{hostOptions: o.hostOptions, lock: verb, wait: o.LockTimeout, storage: true, build: build})
	defer closeAll(jobs)
	if err := worstError(p, jobs); err != nil {
		return err // nothing has been touched
	}
	c := &carrying{p: p, run: o.runOptions, json: o.JSON, parallel: o.Parallelism, v: v, hint: fileHint(o.specOptions)}
	return c.all(ctx, jobs)
}

// load checks the options and reads the spec.
func (o *maintenanceOptions) load(p *process) (*loaded, error) {
	if err := errors.Join(o.hostOptions.check(), o.outputOptions.check()); err != nil {
		return nil, err
	}
	return loadSpec(p, o.specOptions, o.JSON)
}
