package stories

import (
	"context"
	"strings"
	"testing"
	"time"

	"quorate/provision/host"
	"quorate/provision/host/hosttest"
	"quorate/provision/host/ssh"
	"quorate/test/lab"
)

// The suite that the fake host, the local one and the SSH adapter against an
// in-process server pass, over OpenSSH with systemd: as root, with sudo, with
// sudo that asks, and through a bastion.
func TestHostsPassTheSuiteOverOpenSSH(t *testing.T) {
	t.Parallel()
	lab.Need(t)
	for name, how := range map[string]struct {
		user    string
		bastion bool
	}{
		"root":               {user: "root"},
		"sudo":               {user: lab.UserSudo},
		"sudo with password": {user: lab.UserSudoPW},
		"bastion":            {user: "root", bastion: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The suite's parts run in parallel and end after this function; the
			// lab has to stay until then, so it belongs to a test around them.
			l := lab.Start(t, lab.Options{Hosts: 1, Bastion: how.bastion})
			op, err := l.Operator("ann")
			if err != nil {
				t.Fatal(err)
			}
			config := ssh.Config{
				Name: "etcd1", Host: l.Host(0).Addr(), User: how.user, Home: op.Home(), SSHConfig: "none",
				IdentityFile: []string{op.Key()}, Dialer: l.DialContext, KeepAlive: 5 * time.Second,
			}
			if how.user == lab.UserSudoPW {
				config.SudoPassword = l.Password()
			}
			if how.bastion {
				config.ProxyJump = []string{"root@" + l.Bastion().Addr()}
			}
			hosttest.Suite(t, func(t *testing.T) hosttest.Fixture { return fixture(t, l, config) })
		})
	}
}

// fixture gives each part of the suite a folder, an account and units of its own on the one host.
func fixture(t *testing.T, l *lab.Lab, config ssh.Config) hosttest.Fixture {
	t.Helper()
	h := l.Host(0)
	out, err := h.Exec(t.Context(), "mktemp", "-d", "/srv/suite.XXXXXX")
	if err != nil {
		t.Fatal(err)
	}
	dir := out[:len(out)-1]
	id := dir[len(dir)-6:]
	return hosttest.Fixture{
		Open: func(t *testing.T) host.Host {
			t.Helper()
			// The suite also opens sessions to clean up, when the test's own context has ended.
			c, err := ssh.Dial(context.WithoutCancel(t.Context()), config)
			if err != nil {
				t.Fatal(err)
			}
			return ssh.New(c)
		},
		Dir: dir + "/here", Elsewhere: "/dev/shm/" + id, Owner: "ops:ops", Account: "suite" + toLower(id),
		Talker: "127.0.0.1:22", ListeningPort: 22,
		Services: &hosttest.Services{
			Systemd: true, Wait: 10 * time.Second,
			Good: service("good-"+id, "exec", "ExecStart=/bin/sleep 1000\n"),
			// It ends before it is ready; with another type systemd may say for a moment that it runs.
			Bad: service("bad-"+id, "notify", "ExecStart=/bin/sh -c 'echo bad luck >&2; exit 7'\n"),
			Loop: service("loop-"+id, "notify", "StandardInputText="+strings.ReplaceAll(hosttest.LoopLog, "\n", "\\n")+"\n"+
				"StandardInput=data\nExecStart=/bin/sh -c 'cat >&2; exit 1'\nRestart=on-failure\nRestartSec=300ms\nStartLimitInterval=0\n"),
			Hang: service("hang-"+id, "notify", "ExecStart=/bin/sleep 1000\nTimeoutStartSec=infinity\n"),
			Stay: service("stay-"+id, "exec", "ExecStart=/bin/sleep 1000\nKillSignal=SIGCONT\nTimeoutStopSec=4\n"),
		},
	}
}

func service(name, kind, exec string) hosttest.Service {
	file := host.File{Path: "/etc/systemd/system/" + name + ".service", Mode: 0o644, Owner: "root:root",
		Content: []byte("[Service]\nType=" + kind + "\n" + exec + "\n[Install]\nWantedBy=multi-user.target\n")}
	changed := file
	changed.Content = append([]byte("# changed\n"), file.Content...)
	return hosttest.Service{Unit: name + ".service", Files: []host.File{file}, Changed: changed}
}

// toLower, since account names are lower case and mktemp's letters are not; a
// clash would need two folders that differ in nothing else.
func toLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
