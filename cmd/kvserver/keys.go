package main

import (
	"github.com/spf13/cobra"

	"quorate/kvserver/keys"
)

func keysCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keys",
		Short: "Make private keys where they are missing, and requests for their certificates",
		Long: `Read a JSON list of key requests ({path, algorithm, common_name, owner}) on
standard input and write the answers ({path, created, csr}) to standard output.
Keys stay where they are made, mode 0600, and are never printed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return keys.Run(c.InOrStdin(), c.OutOrStdout(), keys.System())
		},
	}
}
