package stories

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"quorate/test/lab"
)

// quick keeps the stories of hosts that do not answer short.
const quick = `connection { connect_timeout = "2s" }`

// What cannot work is said before anything is touched, on any host.
func TestRefusedBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	h := s.Host(1)
	ctx := s.Context()

	sh := func(script string) func() error {
		return func() error { _, err := h.Shell(ctx, script); return err }
	}
	cases := []struct {
		name   string
		spec   string
		env    string
		do     func() error
		undo   func() error
		reason string // of what is held, for the plan to say too; "": it is not asked
		code   int
		words  []string
	}{
		{name: "full disk for the binaries", reason: "disk-full etcd2", code: held, words: []string{"etcd2", "/opt", "MiB"},
			do:   func() error { return h.SmallDisk(ctx, "/opt", 8<<20) },
			undo: func() error { return h.NormalDisk(ctx, "/opt") }},
		{name: "full disk for the data", reason: "disk-full etcd2", code: held, words: []string{"etcd2", "/var/lib/quorate", "MiB"},
			do:   func() error { return h.SmallDisk(ctx, "/var/lib/quorate", 8<<20) },
			undo: func() error { return h.NormalDisk(ctx, "/var/lib/quorate") }},
		{name: "port taken", reason: "port-taken etcd2", code: held, words: []string{"etcd2", "2379", "systemd-socket"},
			do: func() error {
				_, err := h.Shell(ctx, `systemd-run --quiet --unit=squatter systemd-socket-activate --listen=2379 /bin/cat
					timeout 10 sh -c 'until ss -ltn | grep -q :2379; do sleep 0.05; done'`)
				return err
			},
			undo: func() error { _, err := h.Exec(ctx, "systemctl", "stop", "squatter"); return err }},
		{name: "clock off by a day", reason: "clock-skew etcd2", code: held, words: []string{"etcd2", "clock", "24h"},
			do:   func() error { return h.FakeClock(ctx, 24*time.Hour) },
			undo: func() error { return h.FakeClock(ctx, 0) }},
		{name: "not Linux", reason: "platform etcd2", code: held, words: []string{"etcd2", "freebsd"},
			do:   func() error { return h.FakeUname(ctx, "FreeBSD", "") },
			undo: func() error { return h.FakeUname(ctx, "", "") }},
		{name: "unknown architecture", reason: "platform etcd2", code: held, words: []string{"etcd2", "riscv64"},
			do:   func() error { return h.FakeUname(ctx, "", "riscv64") },
			undo: func() error { return h.FakeUname(ctx, "", "") }},
		{name: "data of another cluster", reason: "data-exists etcd2", code: held, words: []string{"etcd2", "/var/lib/quorate/lab"},
			do: func() error {
				_, err := h.Shell(ctx, `mkdir -p /var/lib/quorate/lab/member/wal /var/lib/quorate/lab/member/snap
					: >/var/lib/quorate/lab/member/wal/0000000000000000-0000000000000000.wal`)
				return err
			},
			undo: func() error { _, err := h.Exec(ctx, "rm", "-r", "/var/lib/quorate"); return err }},
		{name: "no flock", reason: "tool-missing etcd2", code: held, words: []string{"etcd2", "the host lacks flock"},
			do: sh("mv /usr/bin/flock /usr/bin/flock.away"), undo: sh("mv /usr/bin/flock.away /usr/bin/flock")},
		{name: "no stat", reason: "host-unreachable etcd2", code: held, words: []string{"etcd2", "the host lacks stat"},
			do: sh("mv /usr/bin/stat /usr/bin/stat.away"), undo: sh("mv /usr/bin/stat.away /usr/bin/stat")},
		{name: "no base64", reason: "tool-missing etcd2", code: held, words: []string{"etcd2", "the host lacks base64"},
			do: sh("mv /usr/bin/base64 /usr/bin/base64.away"), undo: sh("mv /usr/bin/base64.away /usr/bin/base64")},
		{name: "/etc/quorate somebody else's", reason: "unsafe-folder etcd2", code: held, words: []string{"etcd2", "/etc/quorate belongs to somebody else (nobody)"},
			do: sh("mkdir -m 0777 /etc/quorate; chown nobody /etc/quorate"), undo: sh("rmdir /etc/quorate")},
		{name: "/etc/quorate for all", reason: "unsafe-folder etcd2", code: held, words: []string{"etcd2", "others may write to /etc/quorate", "chmod go-w /etc/quorate"},
			do: sh("mkdir /etc/quorate; chmod 0777 /etc/quorate"), undo: sh("rmdir /etc/quorate")},
		{name: "/opt leads to another's folder", reason: "unsafe-folder etcd2", code: held, words: []string{"etcd2", "/srv/big belongs to somebody else (nobody)"},
			do: sh("mkdir -p /srv/big/opt; chown nobody /srv/big; mv /opt /opt.away; ln -s /srv/big/opt /opt"), undo: sh("rm /opt; mv /opt.away /opt; rm -r /srv/big")},
		{name: "the lock's folder somebody else's", reason: "unsafe-folder etcd2", code: held, words: []string{"etcd2", "/run/quorate belongs to somebody else (nobody)"},
			do: sh("mkdir -p /run/quorate; chown nobody /run/quorate"), undo: sh("rm -r /run/quorate")},
		{name: "data below a home", reason: "unsafe-folder etcd2", code: held, words: []string{"etcd2", "/home/" + lab.UserSudo + " belongs to somebody else"},
			spec: "server { data_dir = \"/home/" + lab.UserSudo + "/etcd\" }"},
		{name: "/opt noexec", reason: "mount-unusable etcd2", code: held, words: []string{"etcd2", "/opt is mounted noexec"},
			do: sh("mount -t tmpfs -o noexec,mode=0755 none /opt"), undo: sh("umount /opt")},
		{name: "/opt read-only", reason: "mount-unusable etcd2", code: held, words: []string{"etcd2", "/opt is mounted read-only"},
			do: sh("mount -t tmpfs -o ro,mode=0755 none /opt"), undo: sh("umount /opt")},
		{name: "units read-only", reason: "mount-unusable etcd2", code: held, words: []string{"etcd2", "/etc/systemd/system is mounted read-only"},
			do: sh("mount --bind /etc/systemd/system /etc/systemd/system; mount -o remount,bind,ro /etc/systemd/system"), undo: sh("umount /etc/systemd/system")},
		{name: "the lock's folder read-only", reason: "mount-unusable etcd2", code: held, words: []string{"etcd2", "/run/quorate is mounted read-only"},
			do: sh("mkdir -p /run/quorate; mount -t tmpfs -o ro,mode=0755 none /run/quorate"), undo: sh("umount /run/quorate")},
		{name: "no sudo", spec: "connection { user = \"" + lab.UserNoSudo + "\" }", reason: "host-unreachable etcd1", code: held, words: []string{"etcd1", "sudo"}},
		{name: "sudo needs a password", spec: "connection { user = \"" + lab.UserSudoPW + "\" }", reason: "host-unreachable etcd1", code: held, words: []string{"etcd1", "sudo_password"}},
		{name: "wrong sudo password", spec: "connection {\n user = \"" + lab.UserSudoPW + "\"\n sudo_password = env(\"SUDO_PASSWORD\")\n}",
			env: "SUDO_PASSWORD=not-the-password", code: held, words: []string{"etcd1", "password"}},
		{name: "no such user", spec: `connection { user = "nobody" }`, code: held, words: []string{"etcd1", "nobody"}},
	}
	for _, c := range cases {
		s.spec(c.spec)
		if c.do != nil {
			s.check(c.do())
		}
		before := s.prints(s.Hosts()...)
		env := "X=x"
		if c.env != "" {
			env = c.env
		}
		if c.reason != "" {
			if got := reasons(s.plan(held)); !slices.Contains(got, c.reason) {
				t.Errorf("%s: held are %q, want %q", c.name, got, c.reason)
			}
		}
		r := s.refused(c.code, c.words, env, "apply", "-y")
		if c.env != "" && contains(r, "not-the-password") {
			t.Errorf("%s: the password is shown\n%s", c.name, r)
		}
		s.untouched(before)
		if c.undo != nil {
			s.check(c.undo())
		}
	}
	s.spec("")
	s.must("apply", "-y")
	s.settled()
}

// A disk that fills up under way ends the run with a clear error, nothing half
// written, and the next run completes.
func TestDiskFillsUnderWay(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	h := s.Host(2)
	s.spec("")
	binary, err := os.Stat(filepath.Join(workshop, "kvserver"))
	s.check(err)
	s.check(h.SmallDisk(s.Context(), "/opt", binary.Size()+600<<10)) // the binary just fits, and nothing beside it
	s.refused(failed, []string{"etcd3", "space"}, "apply", "-y")
	if left := s.shell(h, "find /opt -type f"); left != "" {
		t.Errorf("the failed transfer left %q", left)
	}
	s.check(h.NormalDisk(s.Context(), "/opt"))
	s.must("apply", "-y")
	s.settled()
}

// One host does not answer: it is named. A bootstrap waits for it; in a formed
// cluster only its own steps do, and what touches the quorum.
func TestOneHostUnreachable(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(quick)
	a, b, c := s.Host(0), s.Host(1), s.Host(2)
	s.check(c.LinkDown(s.Context()))
	before := s.prints(a, b)
	s.refused(held, []string{"etcd3", c.Addr()}, "apply", "-y")
	s.untouched(before)

	s.check(c.LinkUp(s.Context()))
	s.must("apply", "-y")
	s.settled()

	// The cluster runs, one host goes away, another has drifted.
	s.check(c.LinkDown(s.Context()))
	s.shell(a, "echo '# by hand' >>/etc/quorate/lab/etcd.yaml")
	before = s.prints(b)
	s.refused(held, []string{"etcd3"}, "apply", "-y")
	s.untouched(before)
	if s.shell(a, "tail -n1 /etc/quorate/lab/etcd.yaml") == "# by hand" {
		t.Error("a host that is away kept another one from what touches no quorum")
	}
	s.must("ctl", "--", "put", "/still", "writable")
	s.check(c.LinkUp(s.Context()))
	s.healthy()
	s.must("apply", "-y")
	s.settled()
}

// A host answers with another key than it had: refused, with the way out.
func TestHostKeyChanged(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("")
	s.check(s.Host(1).NewHostKeys(s.Context()))
	before := s.prints(s.Hosts()...)
	s.refused(held, []string{"etcd2", "SHA256:", "known_hosts"}, "apply", "-y")
	s.untouched(before)
	s.check(s.op.Refresh())
	s.must("apply", "-y")
	s.settled()
}
