package main

import (
	"context"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
	"quorate/plan/spec"
)

// CompactOptions of the verb compact.
type CompactOptions struct {
	maintenanceOptions
	Keep int64
}

func newCompactCommand(p *process) *cobra.Command {
	var o CompactOptions
	cmd := &cobra.Command{
		Use:   "compact --keep N",
		Short: "Drop the history of the keys but for the last revisions",
		Long: `Plan, show, ask, and drop the history of the keys but for the last N revisions,
counted from the newest one that the members have. Keys and values that stand are
not touched. Who reads or watches from an older revision is told "compacted" and
has to begin anew. The space that it frees stays in the databases, for later writes;
quorate defrag gives it back to the disks.

The run is over once every voter that answers has deleted what that frees.

By age it cannot be said: etcd keeps no times of revisions. What compacts by age as
it goes is auto_compaction_retention in the spec.`,
		Example: `  quorate compact --keep 1000
  quorate compact --keep 0 -y              # all of the history`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("keep") {
				return badUsage("say how many revisions to keep: --keep N (0 drops all history)")
			}
			return runCompact(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	o.addFlags(p, cmd)
	addKeep(cmd, &o.Keep, 0, "how many `REVISIONS` before the newest one to keep; has to be said")
	return cmd
}

func runCompact(ctx context.Context, p *process, o CompactOptions, v view.Options) error {
	if o.Keep < 0 {
		return badUsage("--keep cannot be negative")
	}
	l, err := o.load(p)
	if err != nil {
		return err
	}
	return o.carryOut(ctx, p, l, plan.Compact, func(c *spec.Cluster, obs *plan.Observed, opt plan.Options) (*plan.Plan, error) {
		return plan.BuildCompact(c, obs, opt, o.Keep)
	}, v)
}
