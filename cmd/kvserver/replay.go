package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"quorate/kvserver"
	"quorate/kvserver/restore"
)

func replayCommand() *cobra.Command {
	var r restore.Replaying
	c := &cobra.Command{
		Use:   "replay --from-data-dir DIR --work DIR --out FILE",
		Short: "Make a snapshot of all that reached the disk of a member that does not run",
		Long: `Copy a stopped member's data, declare the whole log of the copy committed, have etcd
apply it with nobody listening, and write the result as a snapshot. What is there is
only read. Nothing that was acknowledged and reached this disk is missing in it.

It prints JSON, one object a line: how far it is, and at last the result with the ids,
the end of the log, the revision, the hash and the sha256 of the file.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r.Log, r.Progress = c.ErrOrStderr(), progressTo(c.OutOrStdout())
			out, err := restore.Replay(c.Context(), r)
			if err != nil {
				return err
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(kvserver.RestoreReport{Replayed: &out})
		},
	}
	f := c.Flags()
	f.StringVar(&r.From.DataDir, "from-data-dir", "", "the member's data directory (required)")
	f.StringVar(&r.From.WALDir, "from-wal-dir", "", "its WAL directory, if that is not inside the data directory")
	f.StringVar(&r.Work, "work", "", "the folder to work in, on a file system with room for a copy; it is made and removed (required)")
	f.StringVar(&r.Out, "out", "", "the snapshot to write (required)")
	return c
}
