package admin_test

import (
	"fmt"
	"os"
	"testing"

	"quorate/kvserver/server"
	"quorate/kvserver/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m, serve) }

// serve is `kvserver serve` with the arguments that servertest gives.
func serve() {
	a := os.Args
	err := server.Run(server.Options{
		Files: server.Files{Config: a[3], Bootstrap: a[5], Unit: a[7]},
		Argv:  a, Environ: os.Environ(), Log: os.Stderr,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
