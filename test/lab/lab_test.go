package lab

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"
)

// login logs in over the lab's network and runs a command there.
func login(t *testing.T, l *Lab, h *Host, user, command, stdin string) (string, error) {
	t.Helper()
	key, err := l.signer()
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.DialContext(t.Context(), "tcp", h.sshAddr())
	if err != nil {
		return "", err
	}
	defer c.Close()
	conn, chans, reqs, err := ssh.NewClientConn(c, h.sshAddr(), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: fixedKeys(t, h),
	})
	if err != nil {
		return "", err
	}
	client := ssh.NewClient(conn, chans, reqs)
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		return "", err
	}
	s.Stdin = strings.NewReader(stdin)
	out, err := s.CombinedOutput(command)
	return strings.TrimSpace(string(out)), err
}

// fixedKeys accepts the host's own keys and no other.
func fixedKeys(t *testing.T, h *Host) ssh.HostKeyCallback {
	keys, err := h.HostKeys()
	if err != nil {
		t.Fatal(err)
	}
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		got := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
		for _, k := range keys {
			if k == got {
				return nil
			}
		}
		return errors.New("host key of another host")
	}
}

func must(t *testing.T, h *Host, argv ...string) string {
	t.Helper()
	out, err := h.Exec(t.Context(), argv...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// reach says whether one host opens a connection to another.
func reach(t *testing.T, from, to *Host) bool {
	t.Helper()
	_, err := from.Exec(t.Context(), "timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+to.Addr()+"/22")
	var exit *ExecError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHostsAreRealMachinesToEachUser(t *testing.T) {
	t.Parallel()
	l := Start(t, Options{Hosts: 2})
	a, b := l.Host(0), l.Host(1)

	if got := must(t, a, "readlink", "-f", "/proc/1/exe"); !strings.HasSuffix(got, "/systemd") {
		t.Errorf("PID 1 is %q, not systemd", got)
	}
	if x, y := must(t, a, "cat", "/etc/machine-id"), must(t, b, "cat", "/etc/machine-id"); x == y || len(x) != 32 {
		t.Errorf("machine ids %q and %q are not two", x, y)
	}
	for _, user := range []string{"root", UserSudo, UserSudoPW, UserNoSudo} {
		got, err := login(t, l, a, user, "id -un; hostname", "")
		if err != nil || got != user+"\netcd1" {
			t.Errorf("login as %s: %q, %v", user, got, err)
		}
	}
	if _, err := login(t, l, a, "nobody", "true", ""); err == nil {
		t.Error("a user without the key got in")
	}

	const sudo = "sudo -S -p '' id -un"
	if got, err := login(t, l, a, UserSudo, "sudo -n id -un", ""); got != "root" {
		t.Errorf("sudo of %s: %q, %v", UserSudo, got, err)
	}
	if got, err := login(t, l, a, UserSudoPW, "sudo -n id -un", ""); err == nil {
		t.Errorf("sudo of %s without a password: %q", UserSudoPW, got)
	}
	if got, err := login(t, l, a, UserSudoPW, sudo, l.Password()+"\n"); got != "root" {
		t.Errorf("sudo of %s with the password: %q, %v", UserSudoPW, got, err)
	}
	if got, err := login(t, l, a, UserSudoPW, sudo, "wrong\n"); err == nil {
		t.Errorf("sudo of %s with a wrong password: %q", UserSudoPW, got)
	}
	if got, err := login(t, l, a, UserNoSudo, sudo, l.Password()+"\n"); err == nil {
		t.Errorf("sudo of %s: %q", UserNoSudo, got)
	}
	// The hosts do not see each other's services: each systemd has its own groups.
	must(t, a, "systemctl", "stop", "dbus.socket", "dbus.service")
	if got := must(t, b, "systemctl", "is-active", "dbus.service"); got != "active" {
		t.Errorf("stopping a service on one host made it %q on the other", got)
	}
}

func TestLinkDownIsAPartitionAndNoLossOfControl(t *testing.T) {
	t.Parallel()
	l := Start(t, Options{Hosts: 2})
	a, b := l.Host(0), l.Host(1)
	ctx := t.Context()

	dial := func(h *Host) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // a partition is silence
		defer cancel()
		d, err := l.DialContext(ctx, "tcp", h.sshAddr())
		if err == nil {
			d.Close()
		}
		return err
	}
	check(t, dial(a))
	check(t, a.LinkDown(ctx))
	if err := dial(a); err == nil {
		t.Error("the operator reaches a host whose link is down")
	}
	if reach(t, b, a) {
		t.Error("another host reaches it")
	}
	if got := must(t, a, "hostname"); got != "etcd1" {
		t.Errorf("Exec with the link down says %q", got)
	}
	check(t, dial(b))
	check(t, a.LinkUp(ctx))
	check(t, poll(ctx, 10*time.Second, "the link", func() (bool, error) { return dial(a) == nil, nil }))

	check(t, a.Unroute(ctx, b))
	if reach(t, a, b) || reach(t, b, a) {
		t.Error("hosts without a route reach each other")
	}
	check(t, dial(a))
	check(t, a.Reroute(ctx, b))
	if !reach(t, a, b) || !reach(t, b, a) {
		t.Error("hosts with a route do not reach each other")
	}
}

func TestPowerCutKeepsTheDiskAndResetDoesNot(t *testing.T) {
	t.Parallel()
	l := Start(t, Options{Hosts: 1})
	h := l.Host(0)
	ctx := t.Context()

	check(t, h.WriteFile(ctx, "/srv/kept/file", []byte("kept")))
	id, keys := must(t, h, "cat", "/etc/machine-id"), must(t, h, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
	check(t, h.PowerCut(ctx))
	if h.Running() {
		t.Error("it runs without power")
	}
	if _, err := h.Exec(ctx, "true"); err == nil || !strings.Contains(err.Error(), "powered off") {
		t.Errorf("Exec without power: %v", err)
	}
	if pids, err := cgroupPIDs(h.cgroup()); err != nil || len(pids) > 0 {
		t.Errorf("processes after the power cut: %v, %v", pids, err)
	}
	check(t, h.Boot(ctx))
	if got, err := h.ReadFile(ctx, "/srv/kept/file"); string(got) != "kept" {
		t.Errorf("the disk was lost: %q, %v", got, err)
	}
	if got := must(t, h, "cat", "/etc/machine-id"); got != id {
		t.Errorf("the machine id changed from %s to %s", id, got)
	}

	op, err := l.Operator("ann")
	check(t, err)
	check(t, l.Reset(ctx))
	if _, err := h.ReadFile(ctx, "/srv/kept/file"); err == nil {
		t.Error("the disk survived a reset")
	}
	if must(t, h, "cat", "/etc/machine-id") == id || must(t, h, "cat", "/etc/ssh/ssh_host_ed25519_key.pub") == keys {
		t.Error("a new host has an old identity")
	}
	if out, err := op.SSH(ctx, h.Name(), "hostname").CombinedOutput(); string(out) != "etcd1\n" {
		t.Errorf("operator after the reset: %q, %v", out, err)
	}
}

func TestSmallDiskFillsWithoutTouchingThisMachine(t *testing.T) {
	t.Parallel()
	l := Start(t, Options{Hosts: 1})
	h := l.Host(0)
	ctx := t.Context()

	if err := h.FillDisk(ctx, "/var/lib", 0); err == nil {
		t.Fatal("a folder on this machine's disk was filled")
	}
	check(t, h.SmallDisk(ctx, "/var/lib/etcd", 1<<20))
	check(t, h.FillDisk(ctx, "/var/lib/etcd", 64<<10))
	must(t, h, "sh", "-c", "head -c 40000 /dev/zero >/var/lib/etcd/fits")
	if out, err := h.Exec(ctx, "sh", "-c", "head -c 80000 /dev/zero >/var/lib/etcd/more"); err == nil || !strings.Contains(out, "No space left") {
		t.Errorf("the full disk took more: %q, %v", out, err)
	}
	check(t, h.NormalDisk(ctx, "/var/lib/etcd"))
	if got := must(t, h, "ls", "/var/lib/etcd"); got != "" {
		t.Errorf("the small disk left %q", got)
	}
}

func TestFakeClockAndUnameLieToEveryLogin(t *testing.T) {
	t.Parallel()
	l := Start(t, Options{Hosts: 1})
	h := l.Host(0)
	ctx := t.Context()

	check(t, h.FakeClock(ctx, 24*time.Hour))
	for user, command := range map[string]string{"root": "date +%F", UserSudo: "sudo -n date +%F"} {
		want := time.Now().UTC().Add(24 * time.Hour).Format(time.DateOnly)
		got, err := login(t, l, h, user, command, "")
		if again := time.Now().UTC().Add(24 * time.Hour).Format(time.DateOnly); err != nil || got != want && got != again {
			t.Errorf("%s sees %q, want %q: %v", user, got, want, err)
		}
	}
	check(t, h.FakeClock(ctx, 0))
	if got := must(t, h, "sh", "-c", "command -v date"); got == "/usr/local/bin/date" {
		t.Error("the clock still lies")
	}

	check(t, h.FakeUname(ctx, "FreeBSD", ""))
	machine := must(t, h, "/bin/uname", "-m")
	if got, err := login(t, l, h, "root", "uname -snm", ""); got != "FreeBSD etcd1 "+machine {
		t.Errorf("uname -snm says %q, %v", got, err)
	}
	check(t, h.FakeUname(ctx, "", "riscv64"))
	if got := must(t, h, "uname", "-s", "-m"); got != "Linux riscv64" {
		t.Errorf("uname -s -m says %q", got)
	}
	check(t, h.FakeUname(ctx, "", ""))
	if got := must(t, h, "uname", "-s", "-m"); got != "Linux "+machine {
		t.Errorf("uname still lies: %q", got)
	}
}

func TestBastionIsTheOnlyWay(t *testing.T) {
	t.Parallel()
	l := Start(t, Options{Hosts: 2, Bastion: true})
	h := l.Host(0)
	ctx := t.Context()

	if c, err := l.DialContext(ctx, "tcp", h.sshAddr()); err == nil {
		c.Close()
		t.Fatal("the operator reaches a host behind the bastion")
	}
	op, err := l.Operator("ann")
	check(t, err)
	cmd := op.SSH(ctx, "-o", "ProxyCommand=ssh -F "+op.SSHConfig()+" -W %h:%p bastion", h.Addr(), "hostname")
	if out, err := cmd.CombinedOutput(); string(out) != "etcd1\n" {
		t.Errorf("through the bastion: %q, %v", out, err)
	}
	if !reach(t, h, l.Host(1)) {
		t.Error("hosts behind the bastion do not reach each other")
	}
}

func TestAddHostJoinsTheNetwork(t *testing.T) {
	t.Parallel()
	l := Start(t, Options{Hosts: 1})
	ctx := t.Context()
	op, err := l.Operator("ann")
	check(t, err)
	h, err := l.AddHost(ctx)
	check(t, err)
	if h.Name() != "etcd2" || l.Host(1) != h {
		t.Errorf("the new host is %q", h.Name())
	}
	if out, err := op.SSH(ctx, "etcd2", "hostname").CombinedOutput(); string(out) != "etcd2\n" {
		t.Errorf("the operator on the new host: %q, %v", out, err)
	}
	check(t, l.Host(0).NewHostKeys(ctx))
	if out, err := op.SSH(ctx, "etcd1", "hostname").CombinedOutput(); err == nil || !strings.Contains(string(out), "HOST IDENTIFICATION HAS CHANGED") {
		t.Errorf("a changed host key: %q, %v", out, err)
	}
}

// ownCache is a cache at dir for labs of this test alone, with the common root in it.
func ownCache(t *testing.T, dir string) Options {
	t.Helper()
	o, err := Options{Hosts: 1, Cache: dir, Log: testLog{t}}.withDefaults()
	check(t, err)
	common, err := Options{}.withDefaults()
	check(t, err)
	root, err := image(t.Context(), common)
	check(t, err)
	check(t, os.MkdirAll(filepath.Join(o.Cache, "images"), 0o755))
	check(t, os.Symlink(root, filepath.Join(o.Cache, "images", filepath.Base(root))))
	return o
}

// A container's own file system is an overlay, which cannot carry the hosts'.
func TestCacheOnAnOverlay(t *testing.T) {
	t.Parallel()
	Need(t)
	base := t.TempDir()
	dirs := map[string]string{}
	for _, d := range []string{"lower", "upper", "work", "cache"} {
		dirs[d] = filepath.Join(base, d)
		check(t, os.Mkdir(dirs[d], 0o755))
	}
	check(t, mountOverlay(dirs["lower"], dirs["upper"], dirs["work"], dirs["cache"]))
	defer func() { check(t, unmount(dirs["cache"])) }()
	l, err := Up(t.Context(), ownCache(t, dirs["cache"]))
	check(t, err)
	if got := must(t, l.Host(0), "hostname"); got != "etcd1" {
		t.Errorf("the host says %q", got)
	}
	check(t, l.Close())
	if left, err := mountsBelow(dirs["cache"]); err != nil || len(left) != 1 {
		t.Errorf("mounts left: %q, %v", left, err)
	}
}

func TestSweepClearsAwayWhatAKilledRunLeft(t *testing.T) {
	t.Parallel()
	Need(t)
	ctx := t.Context()
	o := ownCache(t, t.TempDir())
	victim, err := Up(ctx, o)
	check(t, err)
	if err := Sweep(ctx, o.Cache); err != nil || !victim.Host(0).Running() {
		t.Fatalf("a sweep took down a lab whose owner lives: %v", err)
	}
	// What the kernel does to a process that is killed: its files are closed.
	check(t, victim.lock.Close())
	check(t, victim.endWatchdog())
	check(t, poll(ctx, 10*time.Second, "the watchdog's work", func() (bool, error) { return !victim.Host(0).Running(), nil }))
	check(t, Sweep(ctx, o.Cache))

	if left, _ := filepath.Glob(filepath.Join(labsDir(o.Cache), "[^.]*")); len(left) > 0 {
		t.Errorf("folders left: %q", left)
	}
	if left, err := mountsBelow(o.Cache); err != nil || len(left) > 0 {
		t.Errorf("mounts left: %q, %v", left, err)
	}
	if left, _ := filepath.Glob(victim.NamespacePath()); len(left) > 0 {
		t.Errorf("network namespace left: %q", left)
	}
	dirs, err := groupDirs(victim.cgroup())
	check(t, err)
	for _, dir := range dirs {
		if left, _ := filepath.Glob(dir); len(left) > 0 {
			t.Errorf("control groups left: %q", left)
		}
	}
}

// Many test programs make labs, sweep and take theirs down at once, in one cache.
func TestSweepBesideLabsThatEnd(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	var sweeps errgroup.Group
	sweeps.Go(func() error {
		for ctx.Err() == nil {
			if err := Sweep(t.Context(), cache); err != nil {
				return err
			}
		}
		return nil
	})
	for range 300 {
		dir, lock, err := claim(Options{Cache: cache})
		check(t, err)
		l := &Lab{dir: dir, lock: lock, state: state{ID: filepath.Base(dir), Boot: bootID(), PIDs: pidNamespace()}}
		check(t, l.save())
		check(t, l.Close())
	}
	stop()
	check(t, sweeps.Wait())
	if left, _ := filepath.Glob(filepath.Join(labsDir(cache), "[^.]*")); len(left) > 0 {
		t.Errorf("folders left: %q", left)
	}
}

func TestDetachedLabIsFoundAgain(t *testing.T) {
	t.Parallel()
	Need(t)
	ctx := t.Context()
	l, err := Up(ctx, Options{Hosts: 1, Detached: true, Log: testLog{t}})
	check(t, err)
	defer func() { check(t, l.Close()) }()
	check(t, Sweep(ctx, ""))
	again, err := Open("", l.ID())
	check(t, err)
	if got := must(t, again.Host(0), "hostname"); got != "etcd1" {
		t.Errorf("the lab opened again says %q", got)
	}
	check(t, again.Close())
	if _, err := Open("", l.ID()); err == nil {
		t.Error("a lab that was closed opens")
	}
}
