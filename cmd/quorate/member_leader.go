package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"quorate/plan"
)

// MemberMoveLeaderOptions of the verb member move-leader.
type MemberMoveLeaderOptions struct {
	specOptions
	hostOptions
	outputOptions
	LockTimeout time.Duration
}

func newMemberMoveLeaderCommand(p *process) *cobra.Command {
	var o MemberMoveLeaderOptions
	cmd := &cobra.Command{
		Use:   "move-leader NAME",
		Short: "Have a member lead",
		Long: `Ask the leader to hand over to a member, under the cluster's lock, and wait until
that one leads. If it leads already, that is all. A learner cannot lead, and a
member that does not answer is not asked to. Nothing else changes.`,
		Example: `  quorate member move-leader etcd1
  quorate member move-leader etcd1 --cluster lab --json`,
		Args: each("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runMemberMoveLeader(cmd.Context(), p, o, args[0])
		},
		ValidArgsFunction: completeMembers(p, &o.specOptions, 1),
	}
	o.specOptions.AddFlags(p, cmd)
	o.addClient(p, cmd, &o.specOptions)
	addLockTimeout(cmd.Flags(), &o.LockTimeout)
	o.addJSON(cmd.Flags(), "print what was done as JSON")
	return cmd
}

func runMemberMoveLeader(ctx context.Context, p *process, o MemberMoveLeaderOptions, word string) error {
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	c, err := l.one(o.Cluster)
	if err != nil {
		return err
	}
	jobs := prepare(ctx, p, l, look{hostOptions: o.hostOptions, lock: plan.Apply, wait: o.LockTimeout})
	defer closeAll(jobs)
	if err := worstError(p, jobs); err != nil {
		return err
	}
	j := jobs[0]
	to, err := plan.TakeCensus(c, j.observed).Find(c, word)
	if err != nil {
		return &usageError{err: err}
	}
	h, err := plan.HandOver(c, j.observed, to)
	if err != nil {
		return fmt.Errorf("cannot have %s lead cluster %q: %w", to.Label(), c.Name, err)
	}
	if h.From != "" {
		if err := j.session.MoveLeader(ctx, h); err != nil {
			return fmt.Errorf("cannot have %s lead cluster %q: %w", to.Label(), c.Name, err)
		}
	}
	switch {
	case o.JSON:
		return writeJSON(p.out, struct {
			Cluster string `json:"cluster"`
			Leader  string `json:"leader"`
			From    string `json:"from,omitempty"` // who led before; "" if it led already
		}{c.Name, to.Label(), h.From})
	case h.From == "":
		fmt.Fprintf(p.out, "%s leads cluster %s already\n", to.Label(), c.Name)
	default:
		fmt.Fprintf(p.out, "%s leads cluster %s; before it was %s\n", to.Label(), c.Name, h.From)
	}
	return nil
}
