package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/admin"
	"quorate/kvserver/datadir"
	"quorate/kvserver/node"
	"quorate/kvserver/servertest"
	"quorate/templates"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

// This binary is kvserver in the processes that tests start, and upstream etcd
// where it is called so.
func TestMain(m *testing.M) {
	servertest.Main(m, func() {
		if filepath.Base(os.Args[0]) == "etcd" {
			etcdmain.Main(os.Args)
			return
		}
		main()
	})
}

// environ of a process, as a look at the host reads it.
func environ(t *testing.T, pid int, key string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range strings.Split(string(text), "\x00") {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v
		}
	}
	return ""
}

func digest(t *testing.T, m *servertest.Member) string {
	t.Helper()
	config, err := os.ReadFile(m.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile(m.UnitFile)
	if err != nil {
		t.Fatal(err)
	}
	return kvserver.ConfigDigest(config, unit)
}

// The story of a cluster: born, read and written, its leader stopped, a file
// changed under a running process, restarted without its bootstrap file.
func TestServe(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	c := servertest.New(t, 3)
	first := c.Members[0]
	first.Start()

	// One of three: no leader, so not ready, however long it listens. Its port
	// is open then, and nobody answers on it.
	a := c.Admin()
	servertest.Until(t, "an election without a quorum", func(ctx context.Context) error {
		if !strings.Contains(first.Log(), "became pre-candidate") {
			return errors.New("none yet")
		}
		return nil
	})
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := a.Status(short, "m1")
	var unreachable *admin.UnreachableError
	if !errors.As(err, &unreachable) || !unreachable.Accepted || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("status without a leader: %v", err)
	}
	if slices.Contains(first.Said(), "READY=1") {
		t.Fatal("ready without a leader")
	}
	for _, m := range c.Members[1:] {
		m.Start()
	}
	for _, m := range c.Members {
		m.WaitReady()
		if got, want := environ(t, m.PID(), node.ConfigDigestEnv), digest(t, m); got != want {
			t.Errorf("%s runs with %q, the files are %q", m.Name, got, want)
		}
		if !slices.Contains(m.Said(), "X_QUORATE_CONFIG_DIGEST="+digest(t, m)) {
			t.Errorf("%s said %q", m.Name, m.Said())
		}
	}
	ctx := t.Context()
	members, err := a.Members(ctx, "m2")
	if err != nil || len(members) != 3 {
		t.Fatalf("%+v %v", members, err)
	}
	for _, m := range c.Members {
		if err := a.Health(ctx, m.Name); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.Put(ctx, "m1", "/name", "xin"); err != nil {
		t.Fatal(err)
	}

	// SIGTERM to the leader: the term goes up by one at most, by a transfer and
	// not by an election that waited for its timeout.
	var leader *servertest.Member
	var term uint64
	for _, m := range c.Members {
		s, err := a.Status(ctx, m.Name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Leader == s.MemberID {
			leader, term = m, s.RaftTerm
		}
	}
	if err := leader.Stop(); err != nil {
		t.Errorf("%s stopped with %v", leader.Name, err)
	}
	if log := leader.Log(); !strings.Contains(log, "leadership transfer finished") {
		t.Errorf("%s handed nothing over", leader.Name)
	}
	if !slices.Contains(leader.Said(), "STOPPING=1") {
		t.Errorf("%s said %q", leader.Name, leader.Said())
	}
	for _, m := range c.Members {
		if m == leader {
			continue
		}
		s, err := a.Status(ctx, m.Name)
		if err != nil || s.Leader == 0 || s.RaftTerm != term+1 {
			t.Errorf("%s: %+v %v, the term was %d", m.Name, s, err, term)
		}
		if v, ok, err := a.Get(ctx, m.Name, "/name"); err != nil || !ok || v != "xin" {
			t.Errorf("%s has %q %v %v", m.Name, v, ok, err)
		}
	}

	// A member with data reads no bootstrap file: neither a missing nor a wrong one counts.
	c.WriteBootstrap(leader, false, leader)
	leader.Start()
	leader.WaitReady()
	if members, err := a.Members(ctx, leader.Name); err != nil || len(members) != 3 {
		t.Errorf("%v %v", members, err)
	}
	other := c.Members[(slices.Index(c.Members, leader)+1)%3]
	if err := other.Stop(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(other.BootstrapFile); err != nil {
		t.Fatal(err)
	}
	c.WriteConfig(other, func(p *templates.ConfigParams) { p.SnapshotCount = 5000 })
	before := environ(t, leader.PID(), node.ConfigDigestEnv)
	other.Start()
	other.WaitReady()
	if got := environ(t, other.PID(), node.ConfigDigestEnv); got == before || got != digest(t, other) {
		t.Errorf("%s runs with %q", other.Name, got)
	}
	// The file changes, the process does not.
	c.WriteConfig(leader, func(p *templates.ConfigParams) { p.SnapshotCount = 5000 })
	if got := environ(t, leader.PID(), node.ConfigDigestEnv); got != before || got == digest(t, leader) {
		t.Errorf("%s seems to run with what lies on disk", leader.Name)
	}

	// A removed member ends with success: nothing to restart.
	id := uint64(0)
	for _, m := range members {
		if m.Name == other.Name {
			id = m.ID
		}
	}
	servertest.Until(t, "remove", func(ctx context.Context) error {
		_, err := a.Remove(ctx, leader.Name, id) // strict-reconfig-check wants all members connected for 5 s
		return err
	})
	if err := other.Wait(); err != nil {
		t.Errorf("the removed member ended with %v", err)
	}
}

// Stopped while it waits for a quorum that does not come: at once, and with success.
func TestStopBeforeReady(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 3)
	m := c.Members[0]
	m.Start()
	servertest.Until(t, "an election without a quorum", func(context.Context) error {
		if !strings.Contains(m.Log(), "became pre-candidate") {
			return errors.New("none yet")
		}
		return nil
	})
	if err := m.Stop(); err != nil {
		t.Errorf("%v", err)
	}
	if said := m.Said(); slices.Contains(said, "READY=1") || !slices.Contains(said, "STOPPING=1") {
		t.Errorf("said %q", said)
	}
}

func TestNoSecondCluster(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	m := c.Members[0]
	fails := func(want string) {
		t.Helper()
		m.Start()
		var exit *exec.ExitError
		if err := m.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("ended with %v", err)
		}
		if !strings.Contains(m.Log(), want) {
			t.Errorf("no %q in\n%s", want, m.Log())
		}
	}
	if err := os.Rename(m.BootstrapFile, m.BootstrapFile+".away"); err != nil {
		t.Fatal(err)
	}
	fails("is empty, and nothing says how to find its cluster")
	if _, err := os.Stat(m.DataDir); err == nil {
		t.Error("a data directory was made")
	}
	if err := os.Rename(m.BootstrapFile+".away", m.BootstrapFile); err != nil {
		t.Fatal(err)
	}
	m.Start()
	m.WaitReady()
	if _, err := c.Admin().Put(t.Context(), "m1", "k", "v"); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	// The WAL's file system is not mounted: the data must not be bootstrapped over.
	if err := os.Rename(filepath.Join(m.DataDir, "member", "wal"), filepath.Join(m.Dir, "wal")); err != nil {
		t.Fatal(err)
	}
	fails("is its file system mounted?")
	// And put back, it is the same member.
	os.RemoveAll(filepath.Join(m.DataDir, "member", "wal"))
	if err := os.Rename(filepath.Join(m.Dir, "wal"), filepath.Join(m.DataDir, "member", "wal")); err != nil {
		t.Fatal(err)
	}
	m.Start()
	m.WaitReady()
	if v, _, err := c.Admin().Get(t.Context(), "m1", "k"); err != nil || v != "v" {
		t.Errorf("%q %v", v, err)
	}
}

// A join that fails leaves an empty database without WAL behind; that is no
// member, and the next start tries again.
func TestInterruptedJoin(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	c.Start()
	m2 := c.Add("m2")
	m2.Start() // not added yet: refused
	if err := m2.Wait(); err == nil {
		t.Fatal("joined uninvited")
	}
	if _, err := os.Stat(filepath.Join(m2.DataDir, "member", "snap", "db")); err != nil {
		t.Fatalf("this test is about the half-made database: %v", err)
	}
	if yes, err := datadir.Initialised(m2.DataDir, ""); yes || err != nil {
		t.Fatalf("%v %v", yes, err)
	}
	a := c.Admin()
	learner, members, err := a.AddLearner(t.Context(), "m1", []string{m2.PeerURL()})
	if err != nil || !learner.Learner || len(members) != 2 {
		t.Fatalf("%+v %+v %v", learner, members, err)
	}
	m2.Start()
	m2.WaitReady()
	servertest.Until(t, "promote", func(ctx context.Context) error {
		_, err := a.Promote(ctx, "m1", learner.ID)
		return err
	})
	// It hears of its promotion a moment after the leader, and a learner lists nobody.
	servertest.Until(t, "members", func(ctx context.Context) error {
		members, err := a.Members(ctx, "m2")
		if err == nil && (len(members) != 2 || members[0].Learner || members[1].Learner) {
			err = fmt.Errorf("%+v", members)
		}
		return err
	})
}

// An upstream etcd in place of kvserver: the same files, the same digest in
// the environment, the bootstrap file only at first; and back again, on the same data.
func TestUpstreamEtcd(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	c := servertest.New(t, 1)
	m := c.Members[0]
	m.Etcd = filepath.Join(c.Dir, "etcd")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.Etcd, text, 0o755); err != nil {
		t.Fatal(err)
	}
	for round, etcd := range []string{m.Etcd, m.Etcd, ""} {
		m.Etcd = etcd
		m.Start()
		m.WaitReady()
		if got := environ(t, m.PID(), node.ConfigDigestEnv); got != digest(t, m) {
			t.Errorf("round %d: runs with %q", round, got)
		}
		want := etcd
		if etcd == "" {
			want = exe
		}
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", m.PID())); err != nil || got != want {
			t.Errorf("round %d: runs %s, want %s (%v)", round, got, want, err)
		}
		if !slices.Contains(m.Said(), "X_QUORATE_EXE="+want) {
			t.Errorf("said %q", m.Said())
		}
		a := c.Admin()
		if round == 0 {
			if _, err := a.Put(t.Context(), "m1", "k", "v"); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(m.BootstrapFile); err != nil {
				t.Fatal(err)
			}
		}
		if v, _, err := a.Get(t.Context(), "m1", "k"); err != nil || v != "v" {
			t.Errorf("round %d: %q %v", round, v, err)
		}
		m.Stop()
		if entries, _ := os.ReadDir(m.DataDir); len(entries) != 1 {
			t.Errorf("beside the member's data: %v", entries)
		}
	}
}

// What is wrong with the files is said before anything is started.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	m := c.Members[0]
	good, err := os.ReadFile(m.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	for want, config := range map[string]string{
		"names no data-dir":                 "name: x\n",
		"cannot read the configuration":     "a: [\n",
		"election-timeout[100ms] should be": string(good) + "election-timeout: 100\n",
		"cannot start member":               string(good) + "cipher-suites: [NONSENSE]\n",
	} {
		config = strings.ReplaceAll(config, "election-timeout: 1000\n", "")
		if err := os.WriteFile(m.ConfigFile, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		m.Start()
		if err := m.Wait(); err == nil || !strings.Contains(m.Log(), want) {
			t.Errorf("%s: %v\n%s", want, err, m.Log())
		}
	}
	// A misspelt option and an unreadable unit are told, and serving goes on;
	// what it runs with is then unknown.
	if err := os.WriteFile(m.ConfigFile, append(good, "quota-backend-byte: 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.UnitFile); err != nil {
		t.Fatal(err)
	}
	m.Start()
	m.WaitReady()
	for _, want := range []string{`"options":["quota-backend-byte"]`, "cannot read the unit file"} {
		if !strings.Contains(m.Log(), want) {
			t.Errorf("no %s", want)
		}
	}
	if runtime.GOOS == "linux" {
		if got := environ(t, m.PID(), node.ConfigDigestEnv); got != "" {
			t.Errorf("claims to run with %q", got)
		}
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	run := func(in string, args ...string) (string, error) {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(exe, args...)
		c.Env = append(os.Environ(), "QUORATE_SERVERTEST_MAIN=1")
		c.Stdin = strings.NewReader(in)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	dir := t.TempDir()
	for _, tc := range []struct {
		in   string
		args []string
		want string
		fail bool
	}{
		{"", []string{"version"}, "kvserver dev (etcd 3.7.", false},
		{"", []string{"version", "--json"}, `"etcd":"3.7.`, false},
		{`[{"path":"` + dir + `/k.pem","algorithm":"ecdsa-p256","common_name":"x"}]`, []string{"keys"}, `"created":true,"new":true,"csr":"-----BEGIN CERTIFICATE REQUEST`, false},
		{`["` + dir + `/none.pem"]`, []string{"keys", "--look"}, `[{"path":"` + dir + `/none.pem","exists":false}]`, false},
		{"", []string{"keys", "--look", dir + "/k.pem"}, `"exists":false,"new":true,"new_public_key":"`, false},
		{"", []string{"keys", dir + "/k.pem"}, "with --look only", true},
		{`{"pairs":[{"key":"` + dir + `/k.pem","certificate":{"path":"` + dir + `/c.pem","pem":"x"}}]}`, []string{"certificates"}, `cannot install certificate "` + dir + `/c.pem"`, true},
		{"nonsense", []string{"certificates"}, "kvserver: cannot read the certificates", true},
		{"nonsense", []string{"keys"}, "kvserver: cannot read the requests for keys", true},
		{"", []string{"serve"}, "serve wants --config-file FILE", true},
		{"", []string{"serve", "--config-file", "/nowhere"}, "cannot read the configuration: open /nowhere", true},
		{"", []string{"supervise"}, "supervise wants --unit FILE", true},
		{"", []string{"nonsense"}, `unknown command "nonsense"`, true},
		{"", []string{"--help"}, "supervise", false},
	} {
		out, err := run(tc.in, tc.args...)
		if (err != nil) != tc.fail || !strings.Contains(out, tc.want) {
			t.Errorf("%v: %v\n%s", tc.args, err, out)
		}
		if strings.Contains(out, "PRIVATE KEY") {
			t.Errorf("%v prints a key", tc.args)
		}
	}
}
