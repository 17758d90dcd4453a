package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/kvserver"
	"quorate/kvserver/snapshot"
)

// BackupPruneOptions of the verb backup prune.
type BackupPruneOptions struct {
	BackupOptions
	AutoApprove bool
	Keep        int
}

func newBackupPruneCommand(p *process) *cobra.Command {
	var o BackupPruneOptions
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove old backups, here and on the hosts",
		Long: `Remove from each folder, here and on each host, the backups that are older than the
newest good ones, as many as --keep says, or keep in the spec's backup block. What goes is
shown by name, and asked for. Before that the newest one of each folder is read whole:
what is damaged does not count as good. The newest good one always stays; so does what has no metadata, and whatever
else is in the folder. Where no more than so many are good nothing goes.`,
		Example: `  quorate backup prune
  quorate backup prune --keep 7 --cluster lab -y
  quorate backup prune --local             # only those that were fetched`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBackupPrune(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	o.addFlags(p, cmd, "print what was removed as JSON, one document for each cluster; with -y")
	f := cmd.Flags()
	f.IntVar(&o.Keep, "keep", 0, "how many good backups stay in each folder; 0: as the spec says")
	f.BoolVarP(&o.AutoApprove, "auto-approve", "y", false, "do not ask")
	return cmd
}

func runBackupPrune(ctx context.Context, p *process, o BackupPruneOptions, v view.Options) error {
	if o.Keep < 0 {
		return badUsage("--keep cannot be negative")
	}
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	return o.eachInventory(ctx, p, l, l.clusters, 1, func(j *job, s *inventory) error { return o.prune(ctx, p, j, s, v) })
}

func (o *BackupPruneOptions) prune(ctx context.Context, p *process, j *job, s *inventory, v view.Options) error {
	keep := j.cluster.Backup.Keep
	if o.Keep > 0 {
		keep = o.Keep
	}
	places := []view.Pruned{pruned(view.Here, s.here, keep)}
	for _, h := range s.hosts {
		if h.Err == nil {
			places = append(places, pruned(h.Member, h.Backups, keep))
		}
	}
	total := 0
	for _, pl := range places {
		total += len(pl.Remove)
	}
	if !o.JSON {
		if err := view.PrunedText(p.out, places, s.dir, keep, v); err != nil {
			return err
		}
	}
	var verdict error
	for _, u := range s.unasked() {
		fmt.Fprintf(p.err, "%s could not be asked, and is left as it is: %s\n", u.Host, u.Problem)
		verdict = said(exitFailed)
	}
	if total > 0 {
		c := &carrying{p: p, run: runOptions{AutoApprove: o.AutoApprove}, json: o.JSON}
		if err := c.approveRemoval(ctx); err != nil {
			return err
		}
		for i := range places {
			if err := removePruned(ctx, j, s, &places[i]); err != nil {
				verdict = worse(verdict, fmt.Errorf("cannot remove backups of cluster %q: %w", j.cluster.Name, err))
			}
		}
	}
	if o.JSON {
		return worse(writeJSON(p.out, struct {
			Cluster string        `json:"cluster"`
			Keep    int           `json:"keep"`
			Places  []view.Pruned `json:"places"`
		}{j.cluster.Name, keep, places}), verdict)
	}
	return verdict
}

// approveRemoval asks before backups are deleted.
func (c *carrying) approveRemoval(ctx context.Context) error {
	switch {
	case c.run.AutoApprove:
		return nil
	case !c.p.inTerminal || c.json:
		return badUsage("this needs a yes, and nobody is there to ask; nothing was removed\n  review the list and run again with -y")
	}
	return c.question(ctx, "\nRemove them? Only yes goes on: ", "yes")
}

// pruned is what goes of one folder.
func pruned(where string, all []kvserver.ListedBackup, keep int) view.Pruned {
	out := view.Pruned{Where: where, Remove: []string{}}
	for _, b := range all {
		if b.Good() {
			out.Good++
		}
	}
	for _, b := range kvserver.Retain(all, keep) {
		out.Remove = append(out.Remove, b.Name)
	}
	return out
}

// removePruned deletes what was shown, the file before its metadata.
func removePruned(ctx context.Context, j *job, s *inventory, pl *view.Pruned) error {
	if len(pl.Remove) == 0 {
		return nil
	}
	if pl.Where != view.Here {
		err := j.session.RemoveBackups(ctx, pl.Where, pl.Remove)
		pl.Done = err == nil
		return err
	}
	err := snapshot.Remove(s.dir, pl.Remove)
	pl.Done = err == nil
	return err
}
