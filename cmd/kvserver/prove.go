package main

import (
	"encoding/json"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"quorate/kvserver"
	"quorate/kvserver/restore"
)

func proveCommand() *cobra.Command {
	var p restore.Proof
	var revision, compact int64
	var hash uint32
	c := &cobra.Command{
		Use:   "prove --snapshot FILE --work DIR",
		Short: "Restore a snapshot, start a server on it and read, to see that it can be done",
		Long: `Restore a snapshot into a folder that is made for it and removed again, start etcd on
it with nobody listening, read from it, and compare the revision, the compact
revision and the hash (as HashKV gives it) with what they must be, where that is known.

It prints JSON, one object a line: how far it is, and at last the result with the
seconds that restoring and starting took. Where something differs it ends with 1.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("revision") {
				p.Revision = &revision
			}
			if c.Flags().Changed("compact-revision") {
				p.CompactRevision = &compact
			}
			if c.Flags().Changed("hash") {
				p.Hash = &hash
			}
			p.Log, p.Progress = c.ErrOrStderr(), progressTo(c.OutOrStdout())
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			r, err := restore.Prove(ctx, p)
			if err != nil {
				return err
			}
			if err := json.NewEncoder(c.OutOrStdout()).Encode(kvserver.RestoreReport{Proved: &r}); err != nil {
				return err
			}
			return r.Err(p.File.Path)
		},
	}
	f := c.Flags()
	snapshotFlags(c, &p.File)
	f.StringVar(&p.Work, "work", "", "the folder to work in, on a file system with room for the database; it is made and removed (required)")
	f.Int64Var(&revision, "revision", 0, "what its revision must be")
	f.Int64Var(&compact, "compact-revision", 0, "what it must be compacted up to")
	f.Uint32Var(&hash, "hash", 0, "what its hash at its revision must be")
	return c
}
