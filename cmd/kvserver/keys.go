package main

import (
	"errors"

	"github.com/spf13/cobra"

	"quorate/kvserver/keys"
)

func keysCommand() *cobra.Command {
	var look bool
	c := &cobra.Command{
		Use:   "keys [--look [PATH...]]",
		Short: "Make private keys where they are missing, and requests for their certificates",
		Long: `Read a JSON list of key requests ({path, algorithm, common_name, owner, beside,
replace}) on standard input and write the answers ({path, created, new, csr}) to
standard output. Keys stay where they are made, mode 0600, and are never printed.

With --look nothing is made: for each path (or a JSON list of them on standard
input) it says what key is there and which waits beside it, as fingerprints.`,
		RunE: func(c *cobra.Command, paths []string) error {
			if look {
				return keys.RunLook(paths, c.InOrStdin(), c.OutOrStdout())
			}
			if len(paths) > 0 {
				return errors.New("keys takes paths with --look only")
			}
			return keys.Run(c.InOrStdin(), c.OutOrStdout(), keys.System())
		},
	}
	c.Flags().BoolVar(&look, "look", false, "say which keys are there, by the fingerprints of their public halves")
	return c
}

func certificatesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "certificates",
		Short: "Put certificates in place, each together with its key",
		Long: `Read certificates as JSON on standard input ({pairs: [{key, certificate: {path,
pem, owner, mode}}], ca: {path, pem, owner, mode}}) and put them in place, with the
keys that "kvserver keys" has made beside theirs. A certificate that fits no key
is refused, and then nothing is touched. Writes the paths that were changed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return keys.RunInstall(c.InOrStdin(), c.OutOrStdout(), keys.System())
		},
	}
}
