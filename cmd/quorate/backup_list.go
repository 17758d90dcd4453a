package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/kvserver"
	"quorate/kvserver/snapshot"
	"quorate/plan/spec"
)

// BackupOptions of the verbs that look at backups.
type BackupOptions struct {
	specOptions
	outputOptions
	Local bool
}

func (o *BackupOptions) addFlags(p *process, cmd *cobra.Command, json string) {
	o.specOptions.AddFlags(p, cmd)
	cmd.Flags().BoolVar(&o.Local, "local", false, "connect to no host: what is on this side only")
	o.addJSON(cmd.Flags(), json)
}

// eachInventory has f look at the backups of one cluster after another.
func (o *BackupOptions) eachInventory(ctx context.Context, p *process, l *loaded, clusters []*spec.Cluster, check int, f func(j *job, s *inventory) error) error {
	var worst error
	for _, c := range clusters {
		j := &job{cluster: c, dir: l.dir}
		if err := j.open(p, true); err != nil {
			return err
		}
		s, err := backupsHere(j, check)
		if !o.Local && err == nil {
			s, err = allBackups(ctx, p, j, check)
		}
		if err == nil {
			err = f(j, s)
		}
		j.close()
		if worst = worse(worst, err); err != nil && len(clusters) > 1 && exitCode(err) != exitInterrupted && err.Error() != "" {
			fmt.Fprintln(p.err, "Error: "+err.Error())
			worst = said(exitCode(worst))
		}
	}
	return worst
}

// ofOne has f look at the backups of the one cluster that is meant.
func (o *BackupOptions) ofOne(ctx context.Context, p *process, f func(j *job, s *inventory) error) error {
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	c, err := l.one(o.Cluster)
	if err != nil {
		return err
	}
	return o.eachInventory(ctx, p, l, []*spec.Cluster{c}, 0, f)
}

func newBackupListCommand(p *process) *cobra.Command {
	var o BackupOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List backups, here and on the hosts",
		Long: `List the backups of a cluster, the newest first: those in backups/CLUSTER beside the
spec, and those in the spec's folder on each host, all of them asked at once. Nothing is
changed and no lock is taken.

The exit code is 1 if a host could not be asked, which is then named.`,
		Example: `  quorate backup list
  quorate backup list --local --json | jq -r '.backups[0].name'`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBackupList(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	o.addFlags(p, cmd, "print them as JSON, one document for each cluster")
	return cmd
}

func runBackupList(ctx context.Context, p *process, o BackupOptions, v view.Options) error {
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	return o.eachInventory(ctx, p, l, l.clusters, 0, func(j *job, s *inventory) error {
		b := view.Backups{Cluster: j.cluster.Name, Backups: s.places(), Unasked: s.unasked()}
		var verdict error
		if len(b.Unasked) > 0 {
			verdict = said(exitFailed)
		}
		if o.JSON {
			return worse(writeJSON(p.out, b), verdict)
		}
		return worse(view.BackupsText(p.out, b, v), verdict)
	})
}

func newBackupShowCommand(p *process) *cobra.Command {
	var o BackupOptions
	var extract string
	cmd := &cobra.Command{
		Use:   "show BACKUP",
		Short: "Show what is known of a backup",
		Long: `Show what the metadata of a backup says: when and of whom it was taken, what it holds,
and where it is. BACKUP is a name as backup list has it, latest, or a file on this side.
With --extract the files that belong to it (the spec without secrets, the CA's certificate) are
written into a folder; none that is there is replaced.`,
		Example: `  quorate backup show latest
  quorate backup show latest --extract from-backup
  quorate backup show backups/lab/lab-20261130T210000Z-etcd2.db.zst --json`,
		Args: each("BACKUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBackupShow(cmd.Context(), p, o, args[0], extract, viewOptions(p, cmd, o.outputOptions))
		},
		ValidArgsFunction: completeBackups(p, &o.specOptions),
	}
	o.addFlags(p, cmd, "print it as JSON")
	cmd.Flags().StringVar(&extract, "extract", "", "write the files that belong to it into this `FOLDER`")
	return cmd
}

func runBackupShow(ctx context.Context, p *process, o BackupOptions, word, extract string, v view.Options) error {
	if isFile(word) {
		b, err := snapshot.Metadata(word)
		if err != nil {
			return fmt.Errorf("cannot read what lies beside %s: %w\n  without metadata, `quorate backup verify` reads what is in the file itself", word, plain(err))
		}
		s := view.StoredBackup{Name: b.Name}
		s.Add(view.Here, kvserver.ListedBackup{Name: b.Name, Size: b.PackedSize, Backup: b})
		return showBackup(p, o, s, b, filepath.Dir(word), extract, v)
	}
	return o.ofOne(ctx, p, func(j *job, s *inventory) error {
		b, err := s.find(word)
		if err != nil {
			return err
		}
		if at := b.Good(); at != nil && at.Where == view.Here {
			b.Backup, err = snapshot.Metadata(filepath.Join(s.dir, b.Name))
		} else if at != nil {
			_, b.Backup, err = j.session.Metadata(ctx, at.Where, b.Name)
		}
		if err != nil {
			return err
		}
		return showBackup(p, o, b, b.Backup, s.dir, extract, v)
	})
}

func showBackup(p *process, o BackupOptions, s view.StoredBackup, b *kvserver.Backup, here, extract string, v view.Options) error {
	if extract != "" {
		if err := extractFiles(b, extract); err != nil {
			return err
		}
	}
	if o.JSON {
		return writeJSON(p.out, s)
	}
	return view.BackupText(p.out, s, here, v)
}

// extractFiles writes what belongs to a backup into a folder, and replaces nothing.
func extractFiles(b *kvserver.Backup, dir string) error {
	var names []string
	for name := range b.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return fmt.Errorf("no files belong to %s", b.Name)
	}
	for _, name := range names {
		// Where the spec was in another folder, what it names outside of that goes below the one given here all the same.
		path := filepath.Join(dir, filepath.FromSlash(filepath.Clean("/"+name)))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("cannot write %s: %w", path, plain(err))
		}
		_, err = f.WriteString(b.Files[name])
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}
