package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
)

// StatusOptions of the verb status.
type StatusOptions struct {
	specOptions
	hostOptions
	outputOptions
	Hash bool
}

func newStatusCommand(p *process) *cobra.Command {
	var o StatusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show health, members, endpoints and certificates",
		Long: `Look at the hosts and ask every member: health (a linearizable read, as
etcdctl endpoint health), the member list, each endpoint's status, the units,
when certificates expire, what data is kept aside on the hosts, and, where hosts take
backups by themselves, the newest good one. Nothing is changed and no lock is taken.

With --hash every member is asked for the hash of its keys at one revision, the
smallest that all of them have: members that hold the same give the same. Those
that differ from more than half of the voters are named. It reads the whole
database of one member after another, and a member applies no writes meanwhile.
With etcd's authentication on only a user with the role root may ask: name such
a client with --client.

The exit code is 1 if any member of the spec is not healthy, and with --hash also
if it was not seen that all members hold the same. Backups that are late or fail are
warned of, and change no exit code.`,
		Example: `  quorate status
  quorate status --cluster lab --json | jq .healthy
  quorate status --hash                    # does every member hold the same?`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStatus(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	o.specOptions.AddFlags(p, cmd)
	o.addClient(p, cmd, &o.specOptions)
	cmd.Flags().IntVar(&o.Parallelism, "parallelism", 10, "how many clusters are looked at at a time; 0 is no bound")
	cmd.Flags().BoolVar(&o.Hash, "hash", false, "compare the data of all members at one revision")
	o.addJSON(cmd.Flags(), "print it as JSON, one document for each cluster")
	return cmd
}

func runStatus(ctx context.Context, p *process, o StatusOptions, v view.Options) error {
	if err := o.hostOptions.check(); err != nil {
		return err
	}
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	how := look{hostOptions: o.hostOptions, hashes: o.Hash, kept: true, backups: true}
	return inOrder(ctx, p, l, how, func(j *job, following bool) (verdict, err error) {
		s := view.StatusOf(j.cluster, j.observed, p.now())
		s.Backup(plan.JudgeBackups(j.cluster, j.backups, p.now()), p.now())
		if j.hashes != nil {
			s.Compare(*j.hashes)
		}
		if !s.Healthy || s.Data != nil && s.Data.Same != plan.Same {
			verdict = said(exitFailed)
		}
		if o.JSON {
			return verdict, writeJSON(p.out, s)
		}
		if following {
			fmt.Fprintln(p.out)
		}
		return verdict, view.StatusText(p.out, s, v)
	})
}
