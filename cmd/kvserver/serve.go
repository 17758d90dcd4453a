package main

import (
	"os"

	"github.com/spf13/cobra"

	"quorate/kvserver/server"
)

func serveCommand() *cobra.Command {
	o := server.Options{Argv: os.Args, Environ: os.Environ(), Log: os.Stderr}
	c := &cobra.Command{
		Use:   "serve --config-file FILE",
		Short: "Serve one etcd member",
		Long: `Serve one etcd member, configured by etcd's own configuration file.

The bootstrap file is merged over it only while the data directory holds no
member. A member that has served (--mark) and has lost its data is not started
as new: it refuses, and says why. So it does while a restore is unfinished
(restore.json beside the mark), unless that starts it. The digest of configuration and unit file is put into the environment
of the serving process (QUORATE_CONFIG_DIGEST), so that what runs can be told
from what lies on disk. Ready is reported (sd_notify) once the member serves.
SIGTERM and SIGINT hand leadership over and stop it cleanly.

With --check nothing is served and nothing written: the configuration is tried as
this binary would read it, with its keys and certificates; options that it does not
know are an error there. For an upstream etcd (--etcd) there is no such check.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Stdin = c.InOrStdin()
			return server.Run(o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Files.Config, "config-file", "", "etcd's configuration file (required); with --check, - is standard input")
	f.BoolVar(&o.Check, "check", false, "try the configuration: silent and 0, or the reason in one line and 1")
	f.StringVar(&o.Files.Bootstrap, "bootstrap-file", "", "settings that count while the data directory is empty: initial-cluster and its kin")
	f.StringVar(&o.Files.Unit, "unit-file", "", "the unit that started this; counts in the digest")
	f.StringVar(&o.Files.Mark, "mark", "", "where \"kvserver formed\" notes that the member has served; with it, none is started as new")
	f.StringVar(&o.Etcd, "etcd", "", "upstream etcd binary to become, in place of serving itself")
	return c
}
