package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"quorate/kvserver"
	"quorate/kvserver/schedule"
)

func backupCommand() *cobra.Command {
	var config string
	c := &cobra.Command{
		Use:   "backup --config FILE",
		Short: "Take a backup of this host's member, if it is its turn",
		Long: `Take a backup of this host's member into the folder that FILE names, as a timer does
again and again. Who takes one is decided anew each time, without talking about it: the healthy
voters with the lowest ids, as many as there are to be copies. Where it is left to others,
that is said, and is success.

It is verified as it comes, restored if that is due, and older ones are removed down to
those to be kept. What came of it is kept beside the backups, and in a file for
Prometheus' node exporter if FILE names a folder. An error is a line on standard error.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := os.ReadFile(config)
			if err != nil {
				return err
			}
			s, err := kvserver.ParseScheduled(text)
			if err != nil {
				return fmt.Errorf("cannot read %s: %w", config, err)
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return schedule.Turn(ctx, *s, schedule.Options{
				Now: time.Now, Tool: version, Log: c.ErrOrStderr(), Say: func(line string) { fmt.Fprintln(c.OutOrStdout(), line) },
			})
		},
	}
	c.Flags().StringVar(&config, "config", "", "what is to be done (required)")
	_ = c.MarkFlagRequired("config")
	return c
}
