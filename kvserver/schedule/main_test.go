package schedule

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"quorate/kvserver"
	"quorate/kvserver/server"
	"quorate/kvserver/servertest"
)

// turnEnv marks a process that a test started to take its turn, with the file that says how.
const turnEnv = "QUORATE_SCHEDULE_TEST_CONFIG"

func TestMain(m *testing.M) {
	if path := os.Getenv(turnEnv); path != "" {
		text, err := os.ReadFile(path)
		var s *kvserver.ScheduledBackup
		if err == nil {
			s, err = kvserver.ParseScheduled(text)
		}
		if err == nil {
			err = Turn(context.Background(), *s, Options{Now: time.Now})
		}
		exit(err)
	}
	servertest.Main(m, func() {
		a := os.Args
		exit(server.Run(server.Options{Files: server.Files{Config: a[3], Bootstrap: a[5], Unit: a[7]}, Argv: a, Environ: os.Environ(), Log: os.Stderr}))
	})
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// hosts are the hosts of a cluster's members: each has a folder of backups, and a clock that all share.
type hosts struct {
	t       *testing.T
	cluster *servertest.Cluster
	now     time.Time
}

func start(t *testing.T, size int) *hosts {
	t.Helper()
	h := &hosts{t: t, cluster: servertest.New(t, size), now: time.Date(2026, 11, 30, 21, 0, 0, 0, time.UTC)}
	h.cluster.ClientTLS("quorate")
	h.cluster.Start()
	cl, err := clientv3.New(clientv3.Config{Endpoints: []string{h.cluster.Members[0].Endpoint().Address}, TLS: h.cluster.TLS(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range 50 {
		if _, err := cl.Put(t.Context(), fmt.Sprintf("k%d", i), "v"); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// scheduled is what one host is told.
func (h *hosts) scheduled(m *servertest.Member) kvserver.ScheduledBackup {
	at := func(name string) string { return filepath.Join(h.cluster.Dir, "clients", name) }
	return kvserver.ScheduledBackup{
		Format: kvserver.ScheduledFormat, Copies: 2, Keep: 3, IntervalSeconds: 3600, Prove: kvserver.ProveNever,
		CAName: "pki/lab/ca.pem", Manifest: filepath.Join(m.Dir, "manifest.json"),
		BackupRequest: kvserver.BackupRequest{
			Dir: filepath.Join(m.Dir, "backups"), Cluster: "lab", Member: m.Name, Address: m.Endpoint().Address,
			CA: filepath.Join(m.Dir, "ca.pem"), Cert: at("quorate.pem"), Key: at("quorate-key.pem"),
		},
	}
}

// turn has a host take its turn, an hour after the last one, and gives what it says.
func (h *hosts) turn(s kvserver.ScheduledBackup) (said string, err error) {
	h.now = h.now.Add(time.Hour)
	err = Turn(h.t.Context(), s, Options{Now: func() time.Time { return h.now }, Tool: "test", Say: func(line string) { said += line + "\n" }})
	return said, err
}

// state is what a host remembers.
func (h *hosts) state(s kvserver.ScheduledBackup) kvserver.BackupState {
	h.t.Helper()
	st, err := State(s.Dir, s.Cluster)
	if err != nil || st == nil {
		h.t.Fatalf("%v %v", st, err)
	}
	return *st
}
