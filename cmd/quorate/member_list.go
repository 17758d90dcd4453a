package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
)

// MemberListOptions of the verb member list.
type MemberListOptions struct {
	specOptions
	hostOptions
	outputOptions
}

func newMemberListCommand(p *process) *cobra.Command {
	var o MemberListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the members as the cluster has them, beside the spec",
		Long: `List the members as the cluster lists them, joined with the spec: name, id, health,
role, peer URL, and whether the spec has them. Nothing is changed and no lock is
taken. The exit code is that of status: 1 if any member of the spec is not healthy.`,
		Example: `  quorate member list
  quorate member list --json | jq -r '.members[] | select(.in_spec | not).id'`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runMemberList(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	o.specOptions.AddFlags(p, cmd)
	o.addClient(p, cmd, &o.specOptions)
	cmd.Flags().IntVar(&o.Parallelism, "parallelism", 10, "how many clusters are looked at at a time; 0 is no bound")
	o.addJSON(cmd.Flags(), "print it as JSON, one document for each cluster")
	return cmd
}

func runMemberList(ctx context.Context, p *process, o MemberListOptions, v view.Options) error {
	if err := o.hostOptions.check(); err != nil {
		return err
	}
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	return inOrder(ctx, p, l, look{hostOptions: o.hostOptions}, func(j *job, following bool) (verdict, err error) {
		m := view.MembersOf(j.cluster, j.observed, view.StatusOf(j.cluster, j.observed, p.now()))
		if !m.Healthy {
			verdict = said(exitFailed)
		}
		if o.JSON {
			return verdict, writeJSON(p.out, m)
		}
		if following {
			fmt.Fprintln(p.out)
		}
		return verdict, view.MembersText(p.out, m, v)
	})
}
