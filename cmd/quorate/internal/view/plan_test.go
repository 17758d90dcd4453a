package view

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quorate/pki"
	"quorate/plan"
)

var update = flag.Bool("update", false, "rewrite the golden files; read the diff before it is committed")

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// golden compares with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, d)
	}
}

func voters(healthy, total int) plan.Voters { return plan.Voters{Total: total, Healthy: healthy} }

func still(v plan.Voters) plan.Effect { return plan.Effect{Before: v, During: v, After: v} }

var absent = &plan.Drift{What: plan.DriftMissing}

const year = 365 * 24 * time.Hour

// bootstrap is a plan for one member that is not there yet, with a client.
func bootstrap() *plan.Plan {
	none := still(voters(0, 1))
	server := pki.Request{Profile: pki.Server, CommonName: "etcd1", SANs: []string{"127.0.0.1", "192.168.7.101", "::1", "localhost", "node1"}, Lifetime: year}
	return &plan.Plan{
		Verb: plan.Apply, Cluster: "lab", Situation: plan.Absent, Before: voters(0, 1), After: voters(1, 1),
		Steps: []plan.Step{
			{ID: "ca", Kind: plan.KindCA, Title: "create the certificate authority in pki/lab", Quorum: none,
				Action: &plan.CreateCA{Dir: "pki/lab", CommonName: "quorate lab CA", Lifetime: 10 * year}},
			{ID: "push etcd1", Kind: plan.KindPush, Member: "etcd1", Title: "push kvserver to etcd1", Quorum: none,
				Action: &plan.Push{Platform: "linux/amd64", Binaries: []plan.PushBinary{{Name: "kvserver", Path: "/opt/quorate/lab/kvserver", Digest: "0123456789abcdef0123", Size: 27 << 20, Drift: absent}}}},
			{ID: "files etcd1", Kind: plan.KindFiles, Member: "etcd1", Title: "write configuration and unit on etcd1", Quorum: none,
				Reasons: []string{"account quorate is missing"},
				Action: &plan.Files{Files: []plan.WriteFile{
					{Path: "/etc/quorate/lab", Dir: true, Mode: 0o755, Drift: absent},
					{Path: "/etc/quorate/lab/etcd.yaml", Content: "name: etcd1\n", Drift: absent, Diff: "--- /dev/null\n+++ /etc/quorate/lab/etcd.yaml\n@@ -0,0 +1 @@\n+name: etcd1\n"},
				}}},
			{ID: "certificates etcd1", Kind: plan.KindCertificate, Member: "etcd1", Title: "issue certificates for etcd1", Quorum: none,
				Action: &plan.Certificates{Issue: []plan.Certificate{{Path: "/etc/quorate/lab/pki/server.pem", Request: server, Why: []string{"there is no key"}}}}},
			{ID: "client app", Kind: plan.KindClient, Title: "issue the client certificate app into pki/lab/clients", Quorum: none,
				Action: &plan.IssueClient{Dir: "pki/lab/clients", Name: "app", Certificate: plan.Certificate{Why: []string{"there is none"}, Request: pki.Request{Profile: pki.Client, CommonName: "app", Lifetime: year}}}},
			{ID: "start etcd1", Kind: plan.KindStart, Title: "bootstrap with etcd1", Reasons: []string{"etcd1 is not there yet"},
				Quorum: plan.Effect{After: voters(1, 1)}, Action: &plan.Start{Bootstrap: true}},
			{ID: "record etcd1", Kind: plan.KindRecord, Member: "etcd1", Title: "record on etcd1: there is no manifest", Reasons: []string{"there is no manifest"},
				Quorum: still(voters(1, 1)), Action: &plan.Record{}},
		},
	}
}

// roll changes a configuration and a certificate of a running cluster of one: writes stop.
func roll() *plan.Plan {
	up := voters(1, 1)
	had := pki.Certificate{SANs: []string{"127.0.0.1", "old.example.org"}, NotAfter: now.Add(20 * 24 * time.Hour)}
	return &plan.Plan{
		Verb: plan.Apply, Cluster: "lab", Situation: plan.Running, Before: up, After: up,
		Steps: []plan.Step{
			{ID: "files etcd1", Kind: plan.KindFiles, Member: "etcd1", Title: "write configuration and unit on etcd1", Quorum: still(up),
				Action: &plan.Files{Files: []plan.WriteFile{{Path: "/etc/quorate/lab/etcd.yaml", Drift: &plan.Drift{What: plan.DriftContent},
					Diff: "--- /etc/quorate/lab/etcd.yaml\n+++ /etc/quorate/lab/etcd.yaml\n@@ -1,2 +1,2 @@\n name: etcd1\n-quota-backend-bytes: 2147483648\n+quota-backend-bytes: 8589934592\n"}}}},
			{ID: "certificates etcd1", Kind: plan.KindCertificate, Member: "etcd1", Title: "issue certificates for etcd1", Quorum: still(up),
				Action: &plan.Certificates{Issue: []plan.Certificate{{Path: "/etc/quorate/lab/pki/server.pem", Why: []string{"lacks localhost"}, Have: &had, Request: pki.Request{Profile: pki.Server, SANs: []string{"127.0.0.1", "localhost"}, Lifetime: year}}}}},
			{ID: "restart etcd1", Kind: plan.KindRestart, Member: "etcd1", Title: "restart etcd1", Reasons: []string{"runs with another configuration (aaa instead of bbb)"},
				Quorum: plan.Effect{Before: up, During: voters(0, 1), After: up}, Action: &plan.Restart{}},
		},
		Notes: []string{"etcd1: its clock is 3s behind this one"},
	}
}

func held(blocks bool) *plan.Plan {
	return &plan.Plan{
		Verb: plan.Apply, Cluster: "lab", Situation: plan.Running, Before: voters(2, 3), After: voters(2, 3), Steps: []plan.Step{},
		Held: []plan.Held{{Reason: plan.HostUnreachable, Subject: "etcd3", Blocks: blocks, Voters: voters(2, 3),
			Detail: "cannot reach host \"etcd3\" at 192.168.7.103:22: connection refused",
			WayOut: "mend the connection and run again; or go on with the hosts that answer: --skip-unreachable"}},
	}
}

func destroy() *plan.Plan {
	return &plan.Plan{
		Verb: plan.Destroy, Cluster: "lab", Situation: plan.Running, Before: voters(3, 3), After: voters(0, 3),
		Steps: []plan.Step{
			{ID: "stop etcd1,etcd2,etcd3", Kind: plan.KindStop, Title: "stop etcd1, etcd2, etcd3 and do not start them at boot",
				Quorum: plan.Effect{Before: voters(3, 3), During: voters(0, 3), After: voters(0, 3)}, Action: &plan.Stop{}},
			{ID: "remove etcd1", Kind: plan.KindRemove, Member: "etcd1", Title: "remove the member's files from etcd1", Quorum: still(voters(0, 3)),
				Action: &plan.Remove{Aside: []string{"/var/lib/quorate/lab"}, AsideName: "1", Entries: []plan.RemoveEntries{{Dir: "/wal/lab", Names: []string{"wal"}}},
					Files: []string{"/etc/systemd/system/quorate-lab.service"}, Folders: []string{"/etc/quorate/lab"}}},
			{ID: "forget", Kind: plan.KindForget, Title: "remove the CA", Quorum: still(voters(0, 3)), Action: &plan.Forget{Files: []string{"pki/lab/ca-key.pem"}}},
		},
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	empty := &plan.Plan{Verb: plan.Apply, Cluster: "lab", Situation: plan.Running, Steps: []plan.Step{}}
	gone := &plan.Plan{Verb: plan.Destroy, Cluster: "lab", Situation: plan.Stopped, Steps: []plan.Step{}}
	both := roll()
	both.Held = held(false).Held
	for name, c := range map[string]struct {
		plan *plan.Plan
		o    Options
	}{
		"bootstrap.txt":     {bootstrap(), Options{Diff: DiffChanged}},
		"bootstrap-all.txt": {bootstrap(), Options{Diff: DiffAll, Width: 80}},
		"roll.txt":          {roll(), Options{Diff: DiffChanged}},
		"roll-none.txt":     {roll(), Options{Diff: DiffNone, CAEnds: now.Add(30 * 24 * time.Hour)}},
		"roll-color.txt":    {roll(), Options{Diff: DiffChanged, Color: true, Width: 100}},
		"roll-held.txt":     {both, Options{Diff: DiffNone}},
		"held.txt":          {held(false), Options{Width: 60}},
		"blocked.txt":       {held(true), Options{}},
		"destroy.txt":       {destroy(), Options{}},
		"empty.txt":         {empty, Options{}},
		"gone.txt":          {gone, Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.o.Now = now
			var b bytes.Buffer
			if err := Plan(&b, c.plan, c.o); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}
