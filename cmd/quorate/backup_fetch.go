package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
)

func newBackupFetchCommand(p *process) *cobra.Command {
	var o BackupOptions
	cmd := &cobra.Command{
		Use:   "fetch BACKUP",
		Short: "Bring a backup from its host to this side",
		Long: `Bring a backup from a host into backups/CLUSTER beside the spec, with its metadata, and
compare its size and digest. BACKUP is a name as backup list has it, or latest. It goes
through the connection to the host, takes no memory to speak of, and one that was cut
goes on where it was. One that is here already is left as it is.`,
		Example: `  quorate backup fetch latest
  quorate backup fetch lab-20261130T210000Z-etcd2.db.zst --cluster lab`,
		Args: each("BACKUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBackupFetch(cmd.Context(), p, o, args[0], viewOptions(p, cmd, o.outputOptions))
		},
		ValidArgsFunction: completeBackups(p, &o.specOptions),
	}
	o.specOptions.AddFlags(p, cmd)
	o.addJSON(cmd.Flags(), "print what was fetched as JSON")
	return cmd
}

func runBackupFetch(ctx context.Context, p *process, o BackupOptions, word string, v view.Options) error {
	return o.ofOne(ctx, p, func(j *job, s *inventory) error {
		b, at, err := s.whole(word, "fetch")
		if err != nil {
			return err
		}
		if at.Where != view.Here {
			if err := fetchBackup(ctx, p, j, at.Where, b.Backup, o.JSON, v); err != nil {
				return err
			}
			s, err := backupsHere(j, 0)
			if err != nil {
				return err
			}
			if b, err = s.find(b.Name); err != nil {
				return err
			}
		} else if !o.JSON {
			fmt.Fprintln(p.out, filepath.Join(s.dir, b.Name)+" is here already")
		}
		if o.JSON {
			return writeJSON(p.out, b)
		}
		return nil
	})
}
