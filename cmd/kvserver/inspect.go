package main

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"quorate/kvserver/datadir"
)

func inspectCommand() *cobra.Command {
	var dataDir, walDir string
	var more datadir.More
	c := &cobra.Command{
		Use:   "inspect --data-dir DIR",
		Short: "Say which member a data directory holds, and how far its log goes",
		Long: `Read a data directory, also beside a running member, and print one JSON object:
whether it holds a member, its ids, the end of its log, the revision of its
database, the members it knows. Nothing is opened for writing. It reads the newest
file of the WAL and a few pages of the database, and gives up after five seconds.

With --check and --hash it also reads all of a member that does not run, and takes
as long as its disk.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if dataDir == "" {
				return errors.New("inspect wants --data-dir DIR")
			}
			i, err := datadir.InspectMore(dataDir, walDir, more)
			if err != nil {
				return err
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(i)
		},
	}
	c.Flags().StringVar(&dataDir, "data-dir", "", "the member's data directory (required)")
	c.Flags().StringVar(&walDir, "wal-dir", "", "its WAL directory, if that is not inside the data directory")
	c.Flags().BoolVar(&more.Check, "check", false, "read the whole log and each page of the database, and say what is damaged")
	c.Flags().BoolVar(&more.Hash, "hash", false, "compute the hash of the keys (HashKV) at the database's revision; needs as much memory as a server")
	return c
}
