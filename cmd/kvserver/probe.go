package main

import (
	"github.com/spf13/cobra"

	"quorate/kvserver/probe"
)

func handshakesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "handshakes",
		Short: "Shake hands anew with this member's peers",
		Long: `Read JSON on standard input ({ca, cert, key, common_name, peers: [{name, address}],
timeout_ms}): connect to every peer with the certificate that this member shows them,
see that both ends have the common name and accept one another, and write with whom
it did not work as JSON.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return probe.RunHandshakes(c.Context(), c.InOrStdin(), c.OutOrStdout())
		},
	}
}

func probeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "probe",
		Short: "Find out whether this host and its peers reach each other",
		Long: `Read JSON on standard input ({name, listen, peers: [{name, address}], timeout_ms}):
listen where the member will, dial every peer, and write what could not be reached
as JSON. Run on all hosts at the same time, before any member runs.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return probe.Run(c.Context(), c.InOrStdin(), c.OutOrStdout())
		},
	}
}
