package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"quorate/kvserver"
	"quorate/kvserver/server"
	"quorate/kvserver/servertest"
)

// savesEnv marks a process that a test started to take a backup, with its request.
const savesEnv = "QUORATE_SNAPSHOT_TEST_REQUEST"

func TestMain(m *testing.M) {
	if text := os.Getenv(savesEnv); text != "" {
		var r kvserver.BackupRequest
		err := json.Unmarshal([]byte(text), &r)
		if err == nil {
			_, err = Save(context.Background(), r, Options{Now: now})
		}
		exit(err)
	}
	servertest.Main(m, serve)
}

// serve is `kvserver serve` with the arguments that servertest gives.
func serve() {
	a := os.Args
	exit(server.Run(server.Options{
		Files: server.Files{Config: a[3], Bootstrap: a[5], Unit: a[7]},
		Argv:  a, Environ: os.Environ(), Log: os.Stderr,
	}))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func encodeRequest(t testing.TB, r kvserver.BackupRequest) string {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
