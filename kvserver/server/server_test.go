package server

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"quorate/kvserver"
	"quorate/templates"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	f := Files{Config: filepath.Join(dir, "etcd.yaml"), Bootstrap: filepath.Join(dir, "bootstrap.yaml"), Unit: filepath.Join(dir, "unit")}
	config := "# comment\nname: m1\ndata-dir: " + data + "\nquota-backend-bytes: 8589934592\n"
	write(t, f.Config, config)
	write(t, f.Bootstrap, "initial-cluster: m1=https://h:2380\ninitial-cluster-state: new\n")
	write(t, f.Unit, "[Service]\n")

	l, err := Load(f)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.Unmarshal(l.Settings, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"name": "m1", "data-dir": data, "quota-backend-bytes": float64(8 << 30), "initial-cluster": "m1=https://h:2380", "initial-cluster-state": "new"}, got); d != "" {
		t.Error(d)
	}
	if l.Initialised || l.Name != "m1" || l.Digest != kvserver.ConfigDigest([]byte(config), []byte("[Service]\n")) {
		t.Errorf("%+v", l)
	}

	// The bootstrap file is no part of the digest, and no part of anything once there is a member.
	write(t, f.Bootstrap, ": nonsense [")
	write(t, filepath.Join(data, "member", "wal", "0.wal"), "x")
	again, err := Load(f)
	if err != nil || !again.Initialised || again.Digest != l.Digest || string(again.Settings) != config {
		t.Errorf("%+v %v", again, err)
	}
	f.Unit = ""
	if l, err := Load(f); err != nil || l.Digest != kvserver.ConfigDigest([]byte(config), nil) {
		t.Errorf("%+v %v", l, err)
	}
	f.Unit = filepath.Join(dir, "missing")
	if l, err := Load(f); err != nil || l.Digest != "" || l.UnitError == nil {
		t.Errorf("%+v %v", l, err)
	}
	os.RemoveAll(data)
	if _, err := Load(f); err == nil || !strings.Contains(err.Error(), f.Bootstrap) {
		t.Errorf("%v", err)
	}
}

// What templates writes is what etcd reads, value by value, and etcd knows every key.
func TestTemplatesMeanWhatTheySay(t *testing.T) {
	t.Parallel()
	p := templates.ConfigParams{
		Cluster: "lab", Name: "m1", Address: "192.0.2.1", ClientPort: 2379, PeerPort: 2380, MetricsPort: 2381, DataDir: "/data", WALDir: "/wal",
		ServerCert: "/s.pem", ServerKey: "/s-key.pem", PeerCert: "/p.pem", PeerKey: "/p-key.pem", TrustedCA: "/ca.pem", TLSMinVersion: "TLS1.3",
		QuotaBackendBytes: 1 << 33, AutoCompactionMode: "revision", AutoCompactionRetention: "1000", SnapshotCount: 12345, MaxRequestBytes: 3 << 20,
		HeartbeatInterval: 200, ElectionTimeout: 2000, LogLevel: "warn",
		ExtraOptions: map[string]any{"max-txn-ops": float64(512), "cors": "https://a.example.org:443", "backend-batch-limit": float64(2e6)},
	}
	text, err := templates.Config(p)
	if err != nil {
		t.Fatal(err)
	}
	if u := unknownOptions(text); u != nil {
		t.Errorf("etcd does not know %v", u)
	}
	boot, err := templates.Bootstrap(templates.BootstrapParams{Cluster: "lab", Name: "m1", Token: "tok", Existing: true, Peers: []templates.InitialPeer{{Name: "m1", URLs: []string{"https://192.0.2.1:2380"}}, {Name: "m2", URLs: []string{"https://[fd00::2]:2380"}}}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Config(append(text, boot...))
	if err != nil {
		t.Fatal(err)
	}
	urls := func(u string, of ...interface{ String() string }) {
		t.Helper()
		var all []string
		for _, o := range of {
			all = append(all, o.String())
		}
		if got := strings.Join(all, ","); got != u {
			t.Errorf("%s, want %s", got, u)
		}
	}
	urls("https://127.0.0.1:2379,https://192.0.2.1:2379", &c.ListenClientUrls[0], &c.ListenClientUrls[1]) // etcd sorts them
	urls("https://192.0.2.1:2380", &c.ListenPeerUrls[0])
	urls("https://192.0.2.1:2379", &c.AdvertiseClientUrls[0])
	urls("https://192.0.2.1:2380", &c.AdvertisePeerUrls[0])
	urls("http://127.0.0.1:2381", &c.ListenMetricsUrls[0])
	got := []any{c.Name, c.Dir, c.WalDir, c.QuotaBackendBytes, c.AutoCompactionMode, c.AutoCompactionRetention, c.SnapshotCount, c.MaxRequestBytes,
		c.TickMs, c.ElectionMs, c.LogLevel, c.MaxTxnOps, c.BackendBatchLimit, c.TlsMinVersion, c.StrictReconfigCheck, c.PreVote,
		c.InitialCluster, c.InitialClusterToken, c.ClusterState, c.WarningUnaryRequestDuration}
	want := []any{"m1", "/data", "/wal", int64(1 << 33), "revision", "1000", uint64(12345), uint(3 << 20),
		uint(200), uint(2000), "warn", uint(512), 2000000, "TLS1.3", true, true,
		"m1=https://192.0.2.1:2380,m2=https://[fd00::2]:2380", "tok", "existing", 300 * time.Millisecond}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, s := range []struct {
		cert, key, ca string
		auth          bool
		want          string
	}{
		{c.ClientTLSInfo.CertFile, c.ClientTLSInfo.KeyFile, c.ClientTLSInfo.TrustedCAFile, c.ClientTLSInfo.ClientCertAuth, "/s"},
		{c.PeerTLSInfo.CertFile, c.PeerTLSInfo.KeyFile, c.PeerTLSInfo.TrustedCAFile, c.PeerTLSInfo.ClientCertAuth, "/p"},
	} {
		if s.cert != s.want+".pem" || s.key != s.want+"-key.pem" || s.ca != "/ca.pem" || !s.auth {
			t.Errorf("%+v", s)
		}
	}
}

func TestUnknownOptions(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff([]string{"experimental-initial-corrupt-check", "quota-backend-byte"}, unknownOptions([]byte("name: x\nquota-backend-byte: 1\nexperimental-initial-corrupt-check: true\nfeature-gates: InitialCorruptCheck=true\n"))); d != "" {
		t.Error(d)
	}
}

func TestConfigThatEtcdPanicsAt(t *testing.T) {
	t.Parallel()
	if _, err := Config([]byte("cors: https://no-port.example.org\n")); err == nil || !strings.Contains(err.Error(), "no-port.example.org") {
		t.Errorf("%v", err)
	}
}

func TestStages(t *testing.T) {
	t.Parallel()
	for _, env := range [][]string{nil, {stageEnv + "="}, {stageEnv + "=4711:3"}, {stageEnv + "=nonsense"}} {
		if s, err := second(env, 4712); s != nil || err != nil {
			t.Errorf("%v makes a second stage: %q %v", env, s, err)
		}
	}
	if _, err := second([]string{stageEnv + "=4712:x"}, 4712); err == nil {
		t.Error("no descriptor, no error")
	}
	r, err := pipeOf([]byte("settings"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "settings" {
		t.Errorf("%q %v", b, err)
	}
	r.Close()
	if _, err := pipeOf(make([]byte, 65<<10)); err == nil {
		t.Error("a configuration that does not fit into a pipe would wait for ever")
	}
	err = become(Loaded{Settings: []byte("x")}, []string{"a"}, nil, filepath.Join(t.TempDir(), "missing"), func(string) {})
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "cannot run ") {
		t.Errorf("%v", err)
	}
}
