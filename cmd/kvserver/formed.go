package main

import (
	"time"

	"github.com/spf13/cobra"

	"quorate/kvserver/server"
)

func formedCommand() *cobra.Command {
	var f server.FormedFiles
	c := &cobra.Command{
		Use:   "formed --mark FILE --data-dir DIR [--bootstrap-file FILE]",
		Short: "Note that the member of this host has served",
		Long: `Write a mark with the ids of the member's cluster and the member, as its WAL has
them, and then remove the bootstrap file. Run when the member is ready, each time;
it changes nothing that is so already. "kvserver serve --mark FILE" starts
nothing as new on a host that has a mark.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return server.Formed(f, time.Now()) },
	}
	fl := c.Flags()
	fl.StringVar(&f.Mark, "mark", "", "the mark (required)")
	fl.StringVar(&f.DataDir, "data-dir", "", "the member's data directory (required)")
	fl.StringVar(&f.WALDir, "wal-dir", "", "its WAL directory, if that is not inside the data directory")
	fl.StringVar(&f.Bootstrap, "bootstrap-file", "", "the bootstrap file to remove")
	return c
}
