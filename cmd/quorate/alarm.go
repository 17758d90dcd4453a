package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
	"quorate/plan/spec"
)

// AlarmOptions of the verbs alarm and alarm list.
type AlarmOptions struct {
	specOptions
	hostOptions
	outputOptions
}

func newAlarmCommand(p *process) *cobra.Command {
	cmd := newAlarmListCommand(p)
	list := newAlarmListCommand(p)
	cmd.Use, cmd.Args = "alarm", func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return badFlags(fmt.Errorf("unknown verb %q after %s%s", args[0], cmd.CommandPath(), suggestion(cmd, args[0])))
		}
		return nil
	}
	cmd.Short = "List alarms, and bring a cluster back from NOSPACE"
	cmd.Example = `  quorate alarm
  quorate alarm disarm
  quorate alarm disarm --keep 10000 -y`
	cmd.AddCommand(list, newAlarmDisarmCommand(p))
	return cmd
}

func newAlarmListCommand(p *process) *cobra.Command {
	var o AlarmOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the alarms that stand",
		Long: `List the alarms that stand, as the cluster has them, with the member that raised
each and what its database takes of its quota. NOSPACE: a database has reached its
quota, and writes are refused. CORRUPT: the data of a member differs from the
others', and reads are refused too. Nothing is changed and no lock is taken.

The exit code is 1 if no member could be asked.`,
		Example: `  quorate alarm list
  quorate alarm list --json | jq -r .alarms[].name`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAlarmList(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	o.specOptions.AddFlags(p, cmd)
	o.addClient(p, cmd, &o.specOptions)
	cmd.Flags().IntVar(&o.Parallelism, "parallelism", 10, "how many clusters are looked at at a time; 0 is no bound")
	o.addJSON(cmd.Flags(), "print it as JSON, one document for each cluster")
	return cmd
}

func runAlarmList(ctx context.Context, p *process, o AlarmOptions, v view.Options) error {
	if err := o.hostOptions.check(); err != nil {
		return err
	}
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	return inOrder(ctx, p, l, look{hostOptions: o.hostOptions, storage: true}, func(j *job, _ bool) (verdict, err error) {
		a := view.AlarmsOf(j.cluster, j.observed)
		if !a.Known {
			verdict = said(exitFailed)
		}
		if o.JSON {
			return verdict, writeJSON(p.out, a)
		}
		return verdict, view.AlarmsText(p.out, a, v)
	})
}

// AlarmDisarmOptions of the verb alarm disarm.
type AlarmDisarmOptions struct {
	maintenanceOptions
	Keep int64
}

// safeKeep is how many revisions a way out of NOSPACE keeps unless it is told: whoever watches and is not
// more than so many writes behind goes on as if nothing had happened.
const safeKeep = 1000

func newAlarmDisarmCommand(p *process) *cobra.Command {
	var o AlarmDisarmOptions
	cmd := &cobra.Command{
		Use:   "disarm",
		Short: "Bring a cluster back that has run into its quota (NOSPACE)",
		Long: `Bring back a cluster in which NOSPACE stands, as one plan: drop history but for the
last revisions, have the members write their databases anew, followers first and
gated as a restart is, end the alarm, and see that writes are taken through every
voter (by a lease that is granted and revoked: no key is touched). Where every
database leaves room already, since its quota was raised, the alarm alone is ended.

Where that cannot make room it is held with the numbers, or the run ends with them
and the alarm stays: raise quota_backend_bytes and apply, which NOSPACE does not hold
up, or delete keys.

CORRUPT is never disarmed: whatever it says differs has to be replaced first.`,
		Example: `  quorate alarm disarm
  quorate alarm disarm --keep 0 -y         # no history at all, for the most room`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAlarmDisarm(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	o.addFlags(p, cmd)
	addKeep(cmd, &o.Keep, safeKeep, "how many `REVISIONS` before the newest one to keep")
	return cmd
}

func runAlarmDisarm(ctx context.Context, p *process, o AlarmDisarmOptions, v view.Options) error {
	if o.Keep < 0 {
		return badUsage("--keep cannot be negative")
	}
	l, err := o.load(p)
	if err != nil {
		return err
	}
	return o.carryOut(ctx, p, l, plan.AlarmDisarm, func(c *spec.Cluster, obs *plan.Observed, opt plan.Options) (*plan.Plan, error) {
		return plan.BuildDisarm(c, obs, opt, o.Keep)
	}, v)
}
