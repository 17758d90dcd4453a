package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"quorate/kvserver/supervise"
)

func superviseCommand() *cobra.Command {
	var unit string
	c := &cobra.Command{
		Use:   "supervise --unit FILE",
		Short: "Keep one service running, for hosts without a service manager",
		Long: `Run what a JSON service file says, restart it when it fails, and write its
state down. It stays in the foreground; SIGTERM stops the service, then it.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runSupervise(unit) },
	}
	c.Flags().StringVar(&unit, "unit", "", "the service file (required)")
	return c
}

func runSupervise(path string) error {
	if path == "" {
		return errors.New("supervise wants --unit FILE")
	}
	u, err := supervise.Load(path)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return supervise.Run(ctx, u, time.Now)
}
