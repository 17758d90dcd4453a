package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
)

// RestoreOptions of the verb restore.
type RestoreOptions struct {
	maintenanceOptions
	NoHash        bool
	NoBump        bool
	Resume        bool
	Undo          bool
	DiscardWrites bool
}

func newRestoreCommand(p *process) *cobra.Command {
	var o RestoreOptions
	cmd := &cobra.Command{
		Use:   "restore SNAPSHOT",
		Short: "Replace all keys of a cluster by those of a snapshot",
		Long: `Replace all keys of one cluster by those of a snapshot, on the members of the spec,
however many of them are left. SNAPSHOT is a name as backup list has it, latest, a file on
this side, or HOST:/PATH, a file on the machine of a member or of a host block: a snapshot
that any tool of etcd's has made, compressed or not, with metadata or without. It is
brought to this side and verified first.

Each host gets a mark, and the new data beside the old one, while the members serve on.
Only then all are stopped, the old data is moved aside, never deleted, the new one is
renamed into its place, and they start as a new cluster, which is compared: ids, one
leader, the same keys. What dependents blocks of the spec name is stopped before the
members, and started after them. The revision begins above all that is known of the old
one, and what is below counts as compacted, so that nobody who watches sees the past as
the future.

While the mark stands, nothing but a restore changes the cluster and no member starts by
itself. --resume goes on with a restore that was cut, --undo brings the old data back;
both work from any machine that has the spec, and --resume needs the snapshot's file only
where the new data is not there yet.`,
		Example: `  quorate restore latest
  quorate restore clusters/prod/backup/snapshot.db
  quorate restore etcd1:/etcd_backup/snapshot.db
  quorate restore --resume
  quorate restore --undo`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRestore(cmd.Context(), p, o, args, viewOptions(p, cmd, o.outputOptions))
		},
		ValidArgsFunction: completeSnapshots(p, &o.specOptions),
	}
	o.addFlags(p, cmd)
	f := cmd.Flags()
	f.BoolVar(&o.NoHash, "no-hash", false, "take a copy of a member's database, which has no hash at its end, after its pages were checked")
	f.BoolVar(&o.NoBump, "no-bump", false, "leave the revision as it is in the snapshot: who watches sees the past again, under revisions that were others'")
	f.BoolVar(&o.Resume, "resume", false, "finish a restore that was cut")
	f.BoolVar(&o.Undo, "undo", false, "bring the old data back while a restore is unfinished")
	f.BoolVar(&o.DiscardWrites, "discard-writes", false, "with --undo and -y: also where restored members have taken writes, which go aside with them")
	return cmd
}

// check the options.
func (o *RestoreOptions) check(words []string) error {
	switch {
	case o.Resume && o.Undo:
		return badUsage("a restore is either finished (--resume) or taken back (--undo)")
	case o.Undo && len(words) > 0:
		return badUsage("--undo brings the old data back and takes no snapshot")
	case !o.Undo && o.DiscardWrites:
		return badUsage("--discard-writes says something beside --undo only")
	case !o.Resume && !o.Undo && len(words) == 0:
		return badUsage("say what to restore: a file, HOST:/PATH, a backup's name, or latest (`quorate backup list` shows what there is)")
	case (o.Resume || o.Undo) && o.NoBump:
		return badUsage("a restore that is unfinished goes on as it was begun: --no-bump says nothing beside --resume and --undo")
	}
	return nil
}

func runRestore(ctx context.Context, p *process, o RestoreOptions, words []string, v view.Options) error {
	if err := o.check(words); err != nil {
		return err
	}
	r, c, err := o.begin(ctx, p, plan.Restore, words, v)
	if err != nil {
		return err
	}
	defer r.close()
	j := r.job
	if len(words) > 0 && (o.Resume || plan.UnfinishedRestore(j.observed) == nil) {
		if err := r.open(ctx, words[0]); err != nil {
			return err
		}
		c.snapshot = r.blob
	}
	if mark := plan.UnfinishedRestore(j.observed); o.Resume && r.dir == "" && mark != nil && mark.Snapshot.Disk != nil {
		if r.dir, err = r.folder(); err != nil {
			return err
		}
	}
	c.work = r.dir
	if j.plan, err = r.plan(); err != nil {
		return fmt.Errorf("cannot plan cluster %q: %w", j.cluster.Name, err)
	}
	if err := j.session.LocksFor(j.plan); err != nil {
		return err
	}
	switch wrote := plan.Writes(j.observed); {
	case o.Undo && wrote != "" && o.AutoApprove && !o.DiscardWrites && !j.plan.Blocked():
		return badUsage("%s; an undo puts them aside with the restored data, and -y is not enough for that; nothing was touched\n  if that is meant, run again with --discard-writes", wrote)
	case o.Undo && wrote != "":
		c.confirm, c.warning = j.cluster.Name, wrote+". An undo puts them aside with the restored data."
	case !o.Undo && !o.Resume:
		c.confirm, c.warning = j.cluster.Name, "All keys of the cluster are replaced, and it serves nobody meanwhile."
	}
	return c.all(ctx, []*job{j})
}

// begin locks the one cluster that is meant and looks at it, for a verb that exchanges its data. What is returned without an error is to
// be closed.
func (o *RestoreOptions) begin(ctx context.Context, p *process, verb plan.Verb, words []string, v view.Options) (*restoring, *carrying, error) {
	l, err := o.load(p)
	if err != nil {
		return nil, nil, err
	}
	cluster, err := l.one(o.Cluster)
	if err != nil {
		return nil, nil, err
	}
	for _, word := range words {
		if f, ok := onHost(word); ok {
			if err := f.check(cluster); err != nil {
				return nil, nil, err
			}
		}
	}
	jobs := prepare(ctx, p, l, look{hostOptions: o.hostOptions, lock: verb, wait: o.LockTimeout, depends: true})
	if err := worstError(p, jobs); err != nil {
		closeAll(jobs)
		return nil, nil, err
	}
	c := &carrying{p: p, run: o.runOptions, json: o.JSON, parallel: o.Parallelism, v: v, hint: fileHint(o.specOptions)}
	return &restoring{RestoreOptions: *o, p: p, job: jobs[0], view: v}, c, nil
}
