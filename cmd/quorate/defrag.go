package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
	"quorate/plan/spec"
)

// DefragOptions of the verb defrag.
type DefragOptions struct {
	maintenanceOptions
	Free   string
	Larger string
	All    bool
}

func newDefragCommand(p *process) *cobra.Command {
	var o DefragOptions
	cmd := &cobra.Command{
		Use:   "defrag [NAME…]",
		Short: "Have members give back free space in their databases",
		Long: `Plan, show, ask, and have one member after another write its database anew: what
deleted and compacted keys left free in it goes back to the host's disk. Without a
NAME all members of the spec are looked at. By rule it is worth it where the share
that is free and the size are both over a limit, see the flags; with --all every
database is written anew.

A member answers nobody meanwhile, so this is gated as a restart is: only while
every voter is healthy, followers first, the leader last after it has handed over,
and the next one only once the last one has caught up. A single voter stops writes,
and so does one of two: the plan says so. The new database needs room beside the
old one. A member is waited for as long as its new database grows, however large it
is. etcd does not let learners do it; members that the spec does not have are left
as they are.

Members that a run has dealt with are not dealt with again, but for --all.

With etcd's authentication on only a user with the role root may: name such a
client with --client.`,
		Example: `  quorate defrag
  quorate defrag etcd1 etcd2 --free 20% --larger 1GiB
  quorate defrag --all -y`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ruled := cmd.Flags().Changed("free") || cmd.Flags().Changed("larger")
			return runDefrag(cmd.Context(), p, o, args, ruled, viewOptions(p, cmd, o.outputOptions))
		},
		ValidArgsFunction: completeMembers(p, &o.specOptions, 0),
	}
	o.addFlags(p, cmd)
	f := cmd.Flags()
	f.StringVar(&o.Free, "free", "45%", "only databases with a larger share that is not in use")
	f.StringVar(&o.Larger, "larger", "100MB", "only databases that are larger")
	f.BoolVar(&o.All, "all", false, "every database, whatever it is like")
	return cmd
}

func runDefrag(ctx context.Context, p *process, o DefragOptions, words []string, ruled bool, v view.Options) error {
	rule, err := o.rule(ruled)
	if err != nil {
		return err
	}
	l, err := o.load(p)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		if _, err := l.one(o.Cluster); err != nil {
			return err
		}
	}
	return o.carryOut(ctx, p, l, plan.Defrag, func(c *spec.Cluster, obs *plan.Observed, opt plan.Options) (*plan.Plan, error) {
		names, err := membersMeant(c, obs, words)
		if err != nil {
			return nil, err
		}
		return plan.BuildDefrag(c, obs, opt, plan.DefragOptions{Rule: rule, Members: names})
	}, v)
}

// rule is the one that the flags give, nil with --all.
func (o *DefragOptions) rule(ruled bool) (*plan.FreeRule, error) {
	switch {
	case o.All && ruled:
		return nil, badUsage("--all is for every database, so --free and --larger say nothing beside it")
	case o.All:
		return nil, nil
	}
	free, err := strconv.ParseFloat(strings.TrimSuffix(o.Free, "%"), 64)
	if err != nil || !(free >= 0 && free < 100) {
		return nil, badUsage("--free cannot be %q: it is a share of the database, such as 45%%", o.Free)
	}
	larger, err := humanize.ParseBytes(o.Larger)
	if err != nil || larger > 1<<62 {
		return nil, badUsage("--larger cannot be %q: it is a size, such as 100MB or 1GiB", o.Larger)
	}
	return &plan.FreeRule{Free: free / 100, Larger: int64(larger)}, nil
}

// membersMeant are the spec's names of the members that an operator means by words.
func membersMeant(c *spec.Cluster, o *plan.Observed, words []string) ([]string, error) {
	var out []string
	for _, w := range words {
		l, err := plan.TakeCensus(c, o).Find(c, w)
		switch {
		case err != nil:
			return nil, &usageError{err: err}
		case l.Spec == "":
			return nil, badUsage("the spec does not have member %s of cluster %q, so it is not touched", l.Label(), c.Name)
		}
		out = append(out, l.Spec)
	}
	return out, nil
}
