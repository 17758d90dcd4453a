package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/kvserver"
	"quorate/kvserver/datadir"
	"quorate/plan"
	"quorate/plan/spec"
)

// RecoverOptions of the verb recover.
type RecoverOptions struct {
	maintenanceOptions
	From string
}

func newRecoverCommand(p *process) *cobra.Command {
	var o RecoverOptions
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Bring a cluster back that has lost its majority",
		Long: `Bring a cluster back of which too few members are left for a quorum. The disk of every
host that can be reached is read, and every backup; all are shown, the one first that holds
most. Disks of members that were removed, of other clusters and damaged ones are shown, and
not offered.

From a disk nothing is lost that reached it: on a copy its whole log is replayed with nobody
listening. The hosts that can be reached then get the result as quorate restore would give it:
beside the old data, which is moved aside and never deleted, as a new cluster with another
id, under a revision that no client has seen. Whoever is missing joins with the next quorate
apply, once the host is there, or another one is in the spec.

It is a restore from then on: quorate restore --resume finishes one that was cut, and
quorate restore --undo brings the old data back.`,
		Example: `  quorate recover
  quorate recover --from etcd2
  quorate recover --from latest -y`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRecover(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	o.addFlags(p, cmd)
	cmd.Flags().StringVar(&o.From, "from", "", "the member whose disk to take, or a backup by its name, or latest; the one that holds most by itself")
	o.complete(p, cmd, "from", func(l *loaded) []string {
		out := []string{latest}
		for _, c := range l.spec.Clusters {
			for _, m := range c.Members {
				out = append(out, m.Name)
			}
		}
		return out
	})
	return cmd
}

func runRecover(ctx context.Context, p *process, o RecoverOptions, v view.Options) error {
	as := RestoreOptions{maintenanceOptions: o.maintenanceOptions}
	r, c, err := as.begin(ctx, p, plan.Recover, nil, v)
	if err != nil {
		return err
	}
	defer r.close()
	j := r.job
	sources := &plan.RecoverySources{}
	var chosen *plan.RecoverySource
	if plan.UnfinishedRestore(j.observed) == nil && !plan.Serves(j.cluster, j.observed) {
		if sources, err = r.sources(ctx); err != nil {
			return err
		}
		if chosen, err = o.choose(sources); err != nil {
			_ = c.showSources(j, sources, nil) // the error is what matters
			return err
		}
		if err := c.showSources(j, sources, chosen); err != nil {
			return err
		}
	}
	if j.plan, err = r.recovery(ctx, sources, chosen); err != nil {
		return err
	}
	if err := j.session.LocksFor(j.plan); err != nil {
		return err
	}
	if o.AutoApprove && o.From == "" && !j.plan.Blocked() {
		return badUsage("-y says yes to one source, so say which: --from %s; nothing was touched", sourceWord(chosen))
	}
	if !j.plan.Blocked() {
		c.snapshot, c.work = r.blob, r.dir
		c.confirm = j.cluster.Name
		c.warning = sources.Lost(chosen) + " The cluster gets another id, and its members' data is moved aside."
	}
	return c.all(ctx, []*job{j})
}

// sources finds out what there is.
func (r *restoring) sources(ctx context.Context) (*plan.RecoverySources, error) {
	s, err := allBackups(ctx, r.p, r.job, 0)
	if err != nil {
		return nil, err
	}
	var backups []plan.BackupSeen
	for _, b := range s.places() {
		if at := b.Good(); at != nil {
			backups = append(backups, plan.BackupSeen{Backup: b.Backup, Where: at.Where})
		}
	}
	w := r.p.beginTask("read the members' disks", "", r.JSON, r.view)
	disks, err := r.job.session.Disks(ctx, r.job.observed)
	if err := w.end("", err); err != nil {
		return nil, err
	}
	return plan.FindRecoverySources(r.job.cluster, r.job.observed, disks, backups), nil
}

// choose is the source that was named, or the best one.
func (o *RecoverOptions) choose(s *plan.RecoverySources) (*plan.RecoverySource, error) {
	var offered []string
	newest := (*plan.RecoverySource)(nil)
	for i := range s.All {
		r := &s.All[i]
		if r.Refused != "" {
			continue
		}
		offered = append(offered, sourceWord(r))
		if r.At != nil && (newest == nil || r.At.After(*newest.At)) {
			newest = r
		}
	}
	found := s.Of(o.From)
	switch {
	case len(offered) == 0:
		return nil, fmt.Errorf("nothing is left that the cluster could be recovered from\n  a snapshot from elsewhere: quorate apply on hosts that there are makes an empty cluster, quorate restore FILE fills it")
	case o.From == "":
		return s.Best(), nil
	case o.From == latest && newest != nil:
		return newest, nil
	case found == nil:
		return nil, badUsage("there is no disk and no backup %q to recover from; there is %s", o.From, strings.Join(offered, ", "))
	case found.Refused != "":
		return nil, badUsage("%s is not offered: %s; there is %s", found.Name(), found.Refused, strings.Join(offered, ", "))
	}
	return found, nil
}

// sourceWord is how --from names a source.
func sourceWord(s *plan.RecoverySource) string {
	if s.Member != "" {
		return s.Member
	}
	return s.Backup
}

// recovery makes the plan.
func (r *restoring) recovery(ctx context.Context, sources *plan.RecoverySources, from *plan.RecoverySource) (*plan.Plan, error) {
	j := r.job
	opt := plan.Options{Now: r.p.now(), Token: random(16), SpecDigest: spec.Digest(j.cluster)}
	in := plan.RecoverInput{Mark: r.mark(opt), Sources: sources, Identities: datadir.Identities}
	switch {
	case from == nil:
	case from.Member != "":
		in.Mark.Snapshot = kvserver.RestoreSource{Name: from.Name(), Disk: &kvserver.RestoreDisk{
			Member: from.Member, ClusterID: from.ClusterID, MemberID: from.MemberID, LastTerm: from.Term, LastIndex: from.Index}}
		var err error
		if r.dir, err = r.folder(); err != nil {
			return nil, err
		}
	default:
		if err := r.open(ctx, from.Backup); err != nil {
			return nil, err
		}
		in.Mark.Snapshot, in.Content = r.source(), &r.found.Content
	}
	p, err := plan.BuildRecover(j.cluster, j.observed, opt, in)
	if err != nil {
		return nil, fmt.Errorf("cannot plan cluster %q: %w", j.cluster.Name, err)
	}
	return p, nil
}

// mark is what the hosts are to note, as far as it is known before the plan.
func (r *restoring) mark(opt plan.Options) kvserver.RestoreMark {
	return kvserver.RestoreMark{Format: kvserver.RestoreMarkFormat, Run: r.job.run, At: opt.Now.UTC().Truncate(time.Second), By: r.job.world.Holder.Who, Token: opt.Token}
}

// source is the snapshot that was opened.
func (r *restoring) source() kvserver.RestoreSource {
	return kvserver.RestoreSource{Name: r.name, SHA256: r.blob.Digest(), Size: r.blob.Size(), NoHash: r.found.SHA256 == ""}
}

// showSources prints what there is to recover from.
func (c *carrying) showSources(j *job, s *plan.RecoverySources, chosen *plan.RecoverySource) error {
	if !c.json {
		return view.RecoveryText(c.p.out, j.cluster.Name, s, chosen, c.v)
	}
	l := line{Type: "sources", Cluster: j.cluster.Name, Sources: s}
	if chosen != nil {
		l.From = sourceWord(chosen)
	}
	c.emit(l)
	return nil
}
