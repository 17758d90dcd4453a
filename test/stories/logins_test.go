package stories

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quorate/test/lab"
)

// users writes a spec whose members are reached as the users given.
func (s *stage) users(users ...string) {
	s.Helper()
	var b strings.Builder
	b.WriteString("cluster \"lab\" {\n")
	for i, h := range s.Hosts() {
		fmt.Fprintf(&b, "  member %q {\n    address = %q\n    connection {\n      user = %q\n      sudo_password = %q\n    }\n  }\n", h.Name(), h.Addr(), users[i], s.Password())
	}
	s.write("main.hcl", b.String()+"}\n")
}

// restartSSH has sshd read its configuration. A reload would return before sshd listens again; more than five
// restarts in ten seconds are what systemd takes for a failure.
const restartSSH = "systemctl reset-failed ssh; systemctl restart ssh"

// A login that OpenSSH accepts works: a shell that prints before it runs a command, on both outputs; a sudo that
// takes seconds, which costs that once and is named; no forwarding; two sessions at a time; a umask of
// 077, a /tmp where nothing may be executed and one that is full.
func TestLoginsThatOpenSSHAccepts(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	noisy, slow, narrow := s.Host(0), s.Host(1), s.Host(2)
	s.shell(noisy, `echo 'echo hello from an rc file; echo and on the other output >&2' >/tmp/rc
		cat /tmp/rc /root/.bashrc >/tmp/new 2>/dev/null || cp /tmp/rc /tmp/new
		cp /tmp/new /root/.bashrc; rm /tmp/rc /tmp/new
		echo 'AllowTcpForwarding no' >/etc/ssh/sshd_config.d/00-narrow.conf; `+restartSSH)
	s.shell(slow, `echo 'session optional pam_exec.so /bin/sleep 4' >>/etc/pam.d/sudo`)
	s.shell(narrow, `echo 'MaxSessions 2' >/etc/ssh/sshd_config.d/00-narrow.conf
		`+restartSSH+`
		echo 'umask 077' >>/etc/profile; sed -i 's/^UMASK.*/UMASK 077/' /etc/login.defs
		mount -t tmpfs -o noexec,size=4k none /tmp`)
	s.users("root", lab.UserSudo, lab.UserSudoPW)
	p := s.plan(pending)
	if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, "etcd2: sudo took ") {
		t.Errorf("the slow sudo is not named: %q", notes)
	}
	s.shell(slow, `echo x >/run/sudo-calls; sed -i 's|/bin/sleep 4|/usr/local/bin/counted|' /etc/pam.d/sudo
		printf '#!/bin/sh\necho call >>/run/sudo-calls\nsleep 4\n' >/usr/local/bin/counted; chmod 755 /usr/local/bin/counted; : >/run/sudo-calls; chmod 666 /run/sudo-calls`)
	r := s.must("apply", "-y")
	calls := strings.Count(s.shell(slow, "cat /run/sudo-calls"), "call")
	if calls < 1 || calls > 2 { // PAM's session module is run as a session is opened and closed
		t.Errorf("one apply called sudo %d times\n%s", calls, r)
	}
	s.settled()
	s.must("ctl", "--", "put", "/through", "all of it")
	s.must("destroy", "-y")
}

// A login that cannot work is said by the plan, and by apply in the same words; nothing is touched.
func TestLoginsThatCannotWork(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{Hosts: 1})
	h := s.Host(0)
	for _, c := range []struct {
		what, do, undo, user, reason string
		words                        []string
	}{
		{"one session at a time", "printf 'MaxSessions 1\n' >/etc/ssh/sshd_config.d/00-x.conf; " + restartSSH, "rm /etc/ssh/sshd_config.d/00-x.conf; " + restartSSH, "root",
			"one-session etcd1", []string{"MaxSessions"}},
		{"one session, with sudo", "printf 'MaxSessions 1\n' >/etc/ssh/sshd_config.d/00-x.conf; " + restartSSH, "rm /etc/ssh/sshd_config.d/00-x.conf; " + restartSSH, lab.UserSudo,
			"one-session etcd1", []string{"MaxSessions"}},
		{"a forced command", "printf 'Match User ops\n  ForceCommand echo only backups here\n' >/etc/ssh/sshd_config.d/00-x.conf; " + restartSSH, "rm /etc/ssh/sshd_config.d/00-x.conf; " + restartSSH, lab.UserSudo,
			"host-unreachable etcd1", []string{"login shell", "only backups here", "ForceCommand"}},
		{"no login shell", "usermod -s /usr/sbin/nologin ops", "usermod -s /bin/bash ops", lab.UserSudo,
			"host-unreachable etcd1", []string{"login shell", "not available"}},
		{"no sudo rights", "true", "true", lab.UserNoSudo,
			"host-unreachable etcd1", []string{"sudo", lab.UserNoSudo}},
	} {
		s.users(c.user)
		s.shell(h, c.do)
		before := s.prints(h)
		if got := reasons(s.plan(held)); !slices.Contains(got, c.reason) {
			t.Errorf("%s: held are %q, want %q", c.what, got, c.reason)
		}
		for _, verb := range [][]string{{"plan", "--detailed-exitcode"}, {"apply", "-y"}} {
			if r := s.refused(held, c.words, verb...); strings.Contains(r.stdout+r.stderr, "context canceled") {
				t.Errorf("%s\n%s", c.what, r)
			}
		}
		s.untouched(before)
		s.shell(h, c.undo)
	}
}
