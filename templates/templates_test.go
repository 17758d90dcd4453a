package templates

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"quorate/kvserver/node"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files; read the diff before committing it")

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
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

func config() ConfigParams {
	return ConfigParams{
		Cluster: "lab", Name: "etcd1", Address: "192.168.7.101", ClientPort: 2379, PeerPort: 2380, MetricsPort: 2381,
		DataDir:    "/var/lib/etcd/lab",
		ServerCert: "/etc/quorate/lab/server.pem", ServerKey: "/etc/quorate/lab/server-key.pem",
		PeerCert: "/etc/quorate/lab/peer.pem", PeerKey: "/etc/quorate/lab/peer-key.pem",
		TrustedCA:         "/etc/quorate/lab/ca.pem",
		QuotaBackendBytes: 8 << 30, AutoCompactionMode: "periodic", AutoCompactionRetention: "1h",
		SnapshotCount: 10000, MaxRequestBytes: 1572864, HeartbeatInterval: 100, ElectionTimeout: 1000, LogLevel: "info",
	}
}

func unit() UnitParams {
	return UnitParams{
		Cluster: "lab", Member: "etcd1", Binary: "/opt/quorate/lab/kvserver",
		ConfigFile: "/etc/quorate/lab/etcd.yaml", BootstrapFile: "/etc/quorate/lab/bootstrap.yaml",
		MarkFile: "/etc/quorate/lab/formed.json", UnitFile: "/etc/systemd/system/quorate-lab.service",
		DataDir: "/var/lib/etcd/lab", User: "etcd", Ports: []int{2379, 2380, 2381},
	}
}

func backup() BackupParams {
	return BackupParams{
		Cluster: "lab", Member: "etcd1", Binary: "/opt/quorate/lab/kvserver", ConfigFile: "/etc/quorate/lab/backup.json",
		Unit: "quorate-lab.service", Service: "quorate-lab.backup.service", Dir: "/var/backups/quorate/lab", Interval: 12 * time.Hour,
	}
}

func TestGoldens(t *testing.T) {
	t.Parallel()
	full := config()
	full.Address = "etcd1.example.org"
	full.WALDir = "/wal/lab"
	full.TLSMinVersion = "TLS1.3"
	full.ExtraOptions = map[string]any{
		"max-txn-ops": float64(1e6), "enable-pprof": true, "metrics": "extensive",
		"cipher-suites": []any{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
	}
	full.LogLevel = "warn"
	six := config()
	six.Address, six.MetricsPort = "fd00::101", 0
	home := unit()
	home.DataDir, home.WALDir, home.Etcd = "/home/etcd/data", "/wal/lab", "/opt/etcd-3.6.11/etcd"
	home.BootstrapFile = ""
	disk := unit() // a disk of its own, beside which other clusters may have theirs
	disk.DataDir, disk.Ports = "/data/lab", nil
	local := unit()
	local.Binary = "/home/me/my files/kvserver"
	local.LogFile, local.PIDFile, local.StateFile = "/home/me/log", "/home/me/pid", "/home/me/state.json"
	local.Env = map[string]string{"GOMAXPROCS": "2"}
	for name, render := range map[string]func() ([]byte, error){
		"config.yaml":      func() ([]byte, error) { return Config(config()) },
		"config-full.yaml": func() ([]byte, error) { return Config(full) },
		"config-ipv6.yaml": func() ([]byte, error) { return Config(six) },
		"bootstrap.yaml":   func() ([]byte, error) { return Bootstrap(bootstrap(false, "etcd3", "etcd1", "etcd2")) },
		"bootstrap-join.yaml": func() ([]byte, error) {
			return Bootstrap(bootstrap(true, "etcd1", "etcd2"))
		},
		"unit.service":      func() ([]byte, error) { return Unit(unit()) },
		"unit-home.service": func() ([]byte, error) { return Unit(home) },
		"unit-disk.service": func() ([]byte, error) { return Unit(disk) },
		"backup.service":    func() ([]byte, error) { return BackupService(backup()) },
		"backup.timer":      func() ([]byte, error) { return BackupTimer(backup()) },
		"backup-numbers.service": func() ([]byte, error) {
			p := backup()
			p.TextfileDir, p.Dir = "/var/lib/prometheus/node-exporter", "/home/backups"
			return BackupService(p)
		},
		"backup-minute.timer": func() ([]byte, error) {
			p := backup()
			p.Interval = time.Minute
			return BackupTimer(p)
		},
		"supervised.json": func() ([]byte, error) { return Supervised(local) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := render()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, got)
			again, _ := render()
			if !bytes.Equal(got, again) {
				t.Error("the same parameters gave other bytes")
			}
		})
	}
}

func bootstrap(existing bool, names ...string) BootstrapParams {
	p := BootstrapParams{Cluster: "lab", Name: "etcd1", Token: "lab-7f3a", Existing: existing}
	for _, n := range names {
		p.Peers = append(p.Peers, InitialPeer{Name: n, URLs: []string{"https://192.168.7.10" + n[4:] + ":2380"}})
	}
	return p
}

// Adding a member must not change a byte of what the others run with.
func TestConfigNamesNobodyElse(t *testing.T) {
	t.Parallel()
	b, err := Config(config())
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := yaml.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	for key := range s {
		if strings.HasPrefix(key, "initial-cluster") || strings.HasPrefix(key, "discovery") || key == "force-new-cluster" {
			t.Errorf("the configuration carries %s, which only counts at the start", key)
		}
	}
	boot, err := Bootstrap(bootstrap(false, "etcd1", "etcd2"))
	if err != nil {
		t.Fatal(err)
	}
	var over map[string]any
	if err := yaml.Unmarshal(boot, &over); err != nil {
		t.Fatal(err)
	}
	for key := range over {
		if _, ok := s[key]; ok {
			t.Errorf("%s is in both files", key)
		}
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ address, clients, peers string }{
		{"192.168.7.101", "https://192.168.7.101:1,https://127.0.0.1:1", "https://192.168.7.101:1"},
		{"127.0.0.1", "https://127.0.0.1:1", "https://127.0.0.1:1"},
		{"127.0.0.3", "https://127.0.0.3:1", "https://127.0.0.3:1"},
		{"::1", "https://[::1]:1", "https://[::1]:1"},
		{"fd00::1", "https://[fd00::1]:1,https://127.0.0.1:1", "https://[fd00::1]:1"},
		{"etcd1.example.org", "https://0.0.0.0:1", "https://0.0.0.0:1"},
		{"0.0.0.0", "https://0.0.0.0:1", "https://0.0.0.0:1"},
	} {
		p := ConfigParams{Address: c.address, ClientPort: 1, PeerPort: 1}
		if got := listen(p, "client"); got != c.clients {
			t.Errorf("clients of %s: %s, want %s", c.address, got, c.clients)
		}
		if got := listen(p, "peer"); got != c.peers {
			t.Errorf("peers of %s: %s, want %s", c.address, got, c.peers)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c := func(f func(*ConfigParams)) func() ([]byte, error) {
		return func() ([]byte, error) { p := config(); f(&p); return Config(p) }
	}
	b := func(f func(*BootstrapParams)) func() ([]byte, error) {
		return func() ([]byte, error) { p := bootstrap(false, "etcd1", "etcd2"); f(&p); return Bootstrap(p) }
	}
	k := func(f func(*BackupParams)) func() ([]byte, error) {
		return func() ([]byte, error) {
			p := backup()
			f(&p)
			_, err := BackupTimer(p)
			b, again := BackupService(p)
			if (err == nil) != (again == nil) {
				return b, nil
			}
			return b, again
		}
	}
	u := func(f func(*UnitParams)) func() ([]byte, error) {
		return func() ([]byte, error) { p := unit(); f(&p); return Unit(p) }
	}
	for _, tc := range []struct {
		want   string
		render func() ([]byte, error)
	}{
		{`data directory "lib" is not an absolute path`, c(func(p *ConfigParams) { p.DataDir = "lib" })},
		{`data directory "/var/../etc" is not a clean path`, c(func(p *ConfigParams) { p.DataDir = "/var/../etc" })},
		{`client port 0 is not a port`, c(func(p *ConfigParams) { p.ClientPort = 0 })},
		{`metrics port 70000 is not a port`, c(func(p *ConfigParams) { p.MetricsPort = 70000 })},
		{`address is missing`, c(func(p *ConfigParams) { p.Address = "" })},
		{`control character`, c(func(p *ConfigParams) { p.Name = "a\nforce-new-cluster: true" })},
		{`extra option "initial-cluster-state" is not for you to set`, c(func(p *ConfigParams) { p.ExtraOptions = map[string]any{"initial-cluster-state": "new"} })},
		{`extra option "unsafe-no-fsync" is not for you to set: it loses acknowledged writes`, c(func(p *ConfigParams) { p.ExtraOptions = map[string]any{"unsafe-no-fsync": true} })},
		{`extra option "discovery-endpoints"`, c(func(p *ConfigParams) { p.ExtraOptions = map[string]any{"discovery-endpoints": "x"} })},
		{`extra option "cors": a value of type map[string]interface {}`, c(func(p *ConfigParams) { p.ExtraOptions = map[string]any{"cors": map[string]any{}} })},
		{`token is missing`, b(func(p *BootstrapParams) { p.Token = "" })},
		{`member "etcd2" is listed twice`, b(func(p *BootstrapParams) { p.Peers = append(p.Peers, p.Peers[1]) })},
		{`it is not among the initial members`, b(func(p *BootstrapParams) { p.Name = "etcd9" })},
		{`member "etcd2" has no peer URL`, b(func(p *BootstrapParams) { p.Peers[1].URLs = nil })},
		{`"192.168.7.1:2380" of member "etcd2" is no peer URL`, b(func(p *BootstrapParams) { p.Peers[1].URLs = []string{"192.168.7.1:2380"} })},
		{`"a=b" cannot be the name of a member`, b(func(p *BootstrapParams) { p.Peers[0].Name = "a=b" })},
		{`30ms is no interval of backups`, k(func(p *BackupParams) { p.Interval = 30 * time.Millisecond })},
		{`contains '%'`, k(func(p *BackupParams) { p.Dir = "/var/%h" })},
		{`folder of the node exporter "numbers" is not an absolute path`, k(func(p *BackupParams) { p.TextfileDir = "numbers" })},
		{`member name "%m" cannot stand in a unit`, k(func(p *BackupParams) { p.Member = "%m" })},
		{`does not run as root`, u(func(p *UnitParams) { p.User = "root" })},
		{`user is missing`, u(func(p *UnitParams) { p.User = "" })},
		{`70000 is not a port`, u(func(p *UnitParams) { p.Ports = []int{70000} })},
		{`contains '%'`, u(func(p *UnitParams) { p.DataDir = "/var/%h" })},
		{`contains ' '`, u(func(p *UnitParams) { p.ConfigFile = "/etc/a b" })},
		{`contains ';'`, u(func(p *UnitParams) { p.Etcd = "/bin/etcd;reboot" })},
		{`binary "" is not an absolute path`, u(func(p *UnitParams) { p.Binary = "" })},
		{`pid file "" is not an absolute path`, func() ([]byte, error) {
			p := unit()
			p.LogFile, p.StateFile = "/l", "/s"
			return Supervised(p)
		}},
	} {
		out, err := tc.render()
		if err == nil {
			t.Errorf("no error for %s", tc.want)
		} else if !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "cannot write the ") {
			t.Errorf("error %q does not say %q", err, tc.want)
		}
		if out != nil {
			t.Errorf("%s: bytes in spite of the error", tc.want)
		}
	}
}

func TestSupervisedRoundTrip(t *testing.T) {
	t.Parallel()
	p := unit()
	p.LogFile, p.PIDFile, p.StateFile = "/l", "/p", "/s"
	b, err := Supervised(p)
	if err != nil {
		t.Fatal(err)
	}
	var s node.Service
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p.Argv(), s.Argv); d != "" {
		t.Error(d)
	}
}

// systemd itself reads the unit: no complaint, and as little exposed as promised.
func TestUnitBeforeSystemd(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed here")
	}
	member := func(dir string) func() ([]byte, error) {
		p := unit()
		p.DataDir = dir
		p.Binary = "/bin/sh" // verify wants it to exist
		p.User = "daemon"    // and an account that exists everywhere
		return func() ([]byte, error) { return Unit(p) }
	}
	service := func(dir, numbers string) func() ([]byte, error) {
		p := backup()
		p.Binary, p.Dir, p.TextfileDir = "/bin/sh", dir, numbers
		return func() ([]byte, error) { return BackupService(p) }
	}
	for i, c := range []struct {
		render func() ([]byte, error)
		most   float64
	}{
		{member("/var/lib/etcd/lab"), 1.2}, {member("/home/x/data"), 1.2},
		{service("/var/backups/quorate/lab", ""), 2.0}, {service("/home/backups", "/var/lib/prometheus/node-exporter"), 2.2},
	} {
		b, err := c.render()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), fmt.Sprintf("quorate-test%d.service", i))
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(tool, "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), filepath.Base(file)) {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
		out, err := exec.Command(tool, "security", "--offline=yes", "--no-pager", file).CombinedOutput()
		if err != nil && strings.Contains(string(out), "unrecognized option") {
			t.Skip("this systemd-analyze has no --offline (systemd older than 250)")
		}
		m := regexp.MustCompile(`exposure level for [^:]*: ([0-9.]+)`).FindSubmatch(out)
		if m == nil {
			t.Fatalf("systemd-analyze security: %v\n%s", err, out)
		}
		if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > c.most {
			t.Errorf("exposure %s, want at most %.1f\n%s", m[1], c.most, out)
		}
	}
}

// The planner renders files: that must not drag in the network or the database of processes.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skipf("cannot ask the go command: %v", err)
	}
	for _, dep := range strings.Fields(string(out)) {
		if dep == "net" || dep == "net/http" || dep == "os/exec" || strings.HasPrefix(dep, "quorate/") && dep != "quorate/templates" && !strings.HasPrefix(dep, "quorate/kvserver/node") {
			t.Errorf("package templates depends on %s", dep)
		}
	}
}
