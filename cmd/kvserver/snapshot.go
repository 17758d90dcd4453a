package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"quorate/internal/sealed"
	"quorate/kvserver"
	"quorate/kvserver/schedule"
	"quorate/kvserver/snapshot"
)

func snapshotCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "snapshot <REQUEST",
		Short: "Take a backup of this host's member",
		Long: `Read a request as JSON on standard input ({dir, cluster, member, address, ca, cert,
key, …}), take a snapshot from the member at that address, and put it compressed, with
its metadata beside it, into the folder, once its hash has been verified and its keys
read and compared with the member's. Progress comes as lines of JSON, and at the end
what was taken. Nothing is there before it is whole.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var r kvserver.BackupRequest
			if err := json.NewDecoder(c.InOrStdin()).Decode(&r); err != nil {
				return fmt.Errorf("cannot read what is to be backed up: %w", err)
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			lines := json.NewEncoder(c.OutOrStdout())
			b, err := snapshot.Save(ctx, r, snapshot.Options{Now: time.Now(), Tool: version, Progress: func(l kvserver.BackupLine) {
				_ = lines.Encode(l) // whoever does not listen any more is not told
			}})
			if err != nil {
				return err
			}
			return lines.Encode(kvserver.BackupLine{Backup: b})
		},
	}
}

func backupsCommand() *cobra.Command {
	var dir, cluster string
	var check int
	var latest bool
	c := &cobra.Command{
		Use:   "backups --dir DIR --cluster NAME",
		Short: "List the backups of a cluster in a folder",
		Long: `List the backups of a cluster in a folder as JSON, the newest first: the files, what
their metadata says, and what is wrong with them. Nothing is written. Of the newest
ones, as many as --check says, the whole file is read and its digest compared.

With --latest only the newest good one is printed, and what kvserver backup remembers.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if latest {
				s, err := schedule.Summary(dir, cluster)
				if err != nil {
					return err
				}
				return json.NewEncoder(c.OutOrStdout()).Encode(s)
			}
			all, err := snapshot.List(dir, cluster, check)
			if err != nil {
				return err
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(all)
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the folder (required)")
	c.Flags().StringVar(&cluster, "cluster", "", "the cluster's name (required)")
	c.Flags().IntVar(&check, "check", 0, "how many of the newest good ones to read whole")
	c.Flags().BoolVar(&latest, "latest", false, "only the newest good one, and what kvserver backup remembers")
	c.MarkFlagsMutuallyExclusive("check", "latest")
	_ = c.MarkFlagRequired("dir")
	_ = c.MarkFlagRequired("cluster")
	return c
}

func verifyCommand() *cobra.Command {
	var noHash, prove, note bool
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify a snapshot: its hash, every page, every key, its metadata",
		Long: `Read a snapshot as a restore will, in whatever form (as etcdctl writes it, or
compressed with zstd or gzip), and print as JSON what was found: progress, and at the
end the content. The file is not changed. A packed one is unpacked beside it
for a while. A passphrase, for one that is encrypted, is read from standard input.

With --prove it is then restored beside the file, and served with nobody listening, as
kvserver prove does, and all has to be as it was read. With --note what came of that is
kept in the metadata. It ends with 1 where something differs.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			lines := json.NewEncoder(c.OutOrStdout())
			o := snapshot.VerifyOptions{
				NoHash: noHash, Encryption: sealed.Encryption{What: args[0], Prompt: func(string, bool) (string, error) { return firstLine(c.InOrStdin()) }},
				Progress: func(l kvserver.BackupLine) { _ = lines.Encode(l) },
			}
			if !prove {
				v, err := snapshot.Verify(ctx, args[0], o)
				if err != nil {
					return err
				}
				return lines.Encode(kvserver.VerifyLine{Verified: v})
			}
			v, p, err := schedule.Prove(ctx, args[0], o)
			if err == nil && note {
				err = snapshot.Note(args[0], p.Proof(time.Now()))
			}
			if err != nil {
				return err
			}
			if err := lines.Encode(kvserver.VerifyLine{Verified: v, Proved: p}); err != nil {
				return err
			}
			return p.Err(args[0])
		},
	}
	c.Flags().BoolVar(&prove, "prove", false, "restore it and start a server on it, too")
	c.Flags().BoolVar(&note, "note", false, "with --prove: keep what came of it beside the file")
	c.Flags().BoolVar(&noHash, "no-hash", false, "take a copy of a member's database, which has no hash at its end")
	return c
}

// firstLine is what comes before the first end of a line.
func firstLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
