package main

import (
	"github.com/spf13/cobra"

	"quorate/kvserver/relay"
)

func relayCommand() *cobra.Command {
	var o relay.Options
	c := &cobra.Command{
		Use:   "relay --address HOST:PORT (--raw | --ca FILE [--cert FILE --key FILE])",
		Short: "Connect standard input and output with this host's member, over TLS",
		Long: `Pass what comes in on standard input to this host's member, over TLS and with a
client certificate of this host, and its answers to standard output. The caller
speaks plain HTTP/2 (gRPC). It ends with its input, when the member closes the
connection, or when nothing is heard; it connects to no other host.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.In, o.Out = c.InOrStdin(), c.OutOrStdout()
			return relay.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Address, "address", "", "where the member answers clients; the name is the one that its certificate carries (required)")
	f.StringVar(&o.CA, "ca", "", "what the member's certificate has to come from (required)")
	f.StringVar(&o.Cert, "cert", "", "client certificate")
	f.StringVar(&o.Key, "key", "", "its key")
	f.BoolVar(&o.Raw, "raw", false, "pass the bytes on as they are: the caller speaks TLS itself")
	f.DurationVar(&o.Idle, "idle", relay.DefaultIdle, "how long nothing may be heard from either side")
	return c
}
