// Command kvserver is the binary on the hosts: it serves etcd and does the
// chores that a host needs. Texts, options and one call each; the work is in
// the packages below kvserver.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set at link time, as the Makefile does: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	if err := root().Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "kvserver: %v\n", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:           "kvserver",
		Short:         "Serve etcd, and do the chores that a host of an etcd cluster needs",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.CompletionOptions.DisableDefaultCmd = true
	c.AddCommand(serveCommand(), formedCommand(), inspectCommand(), keysCommand(), certificatesCommand(), relayCommand(), probeCommand(), handshakesCommand(), superviseCommand(),
		snapshotCommand(), backupsCommand(), verifyCommand(), restoreCommand(), replayCommand(), proveCommand(), backupCommand(), versionCommand())
	return c
}
