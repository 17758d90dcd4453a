package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"quorate/kvserver/server"
)

type serveOptions struct {
	files server.Files
	etcd  string
}

func serveCommand() *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve --config-file FILE",
		Short: "Serve one etcd member",
		Long: `Serve one etcd member, configured by etcd's own configuration file.

The bootstrap file is merged over it only while the data directory holds no
member. The digest of configuration and unit file is put into the environment
of the serving process (QUORATE_CONFIG_DIGEST), so that what runs can be told
from what lies on disk. Ready is reported (sd_notify) once the member serves.
SIGTERM and SIGINT hand leadership over and stop it cleanly.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runServe(o) },
	}
	f := c.Flags()
	f.StringVar(&o.files.Config, "config-file", "", "etcd's configuration file (required)")
	f.StringVar(&o.files.Bootstrap, "bootstrap-file", "", "settings that count while the data directory is empty: initial-cluster and its kin")
	f.StringVar(&o.files.Unit, "unit-file", "", "the unit that started this; counts in the digest")
	f.StringVar(&o.etcd, "etcd", "", "upstream etcd binary to become, in place of serving itself")
	return c
}

func runServe(o serveOptions) error {
	if o.files.Config == "" {
		return errors.New("serve wants --config-file FILE")
	}
	notify := func(lines string) { _, _ = daemon.SdNotify(false, lines) } // no manager listening is fine
	settings, err := server.Second(os.Environ(), os.Getpid())
	if err != nil {
		return err
	}
	if settings == nil {
		loaded, err := server.Load(o.files)
		if err != nil {
			return err
		}
		server.Report(loaded, o.etcd != "", os.Stderr)
		return server.Become(loaded, os.Args, os.Environ(), o.etcd, notify)
	}
	server.Quiet()
	cfg, err := server.Config(settings)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	return server.Serve(ctx, cfg, notify)
}
