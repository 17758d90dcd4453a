package stories

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quorate/test/lab"
)

// tenant is a cluster that shares its hosts with another.
type tenant struct{ name, data, account string }

func (c tenant) unit() string { return "quorate-" + c.name + ".service" }

// Two clusters on the same hosts, with an account each, and with one account as older versions had it: a
// member sees and executes nothing that it could take over its neighbour with, and restoring or destroying one leaves the other alone.
func TestTwoClustersOnOneHost(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]string{"an account each": "", "one account": "quorate"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, lab.Options{})
			a := tenant{"lab", "/var/lib/quorate/lab", user}
			b := tenant{"events", "/srv/etcd/events", user}
			server := fmt.Sprintf("data_dir = %q\n", b.data)
			var more string
			if user == "" {
				a.account, b.account = "quorate-lab", "quorate-events"
			} else {
				more = fmt.Sprintf("server { user = %q }\n", user)
				server += fmt.Sprintf("user = %q\n", user)
			}
			var events strings.Builder
			for _, h := range s.Hosts() {
				fmt.Fprintf(&events, "member %q {\n address = %q\n client_port = 3379\n peer_port = 3380\n metrics_port = 3381\n}\n", h.Name(), h.Addr())
			}
			s.write("main.hcl", cluster("lab", more, s.Hosts())+"cluster \"events\" {\nserver {\n"+server+"}\n"+events.String()+"}\n")
			s.must("apply", "-y")
			for _, c := range []tenant{a, b} {
				s.settled("--cluster", c.name) // so the members of each have found one another
			}
			for _, h := range s.Hosts() {
				s.secluded(h, a, b)
				s.secluded(h, b, a)
			}

			pids, before := s.pids(b.unit()), s.filesOf(b)
			leftAlone := func(doing string) {
				t.Helper()
				if got := restarted(pids, s.pids(b.unit())); len(got) > 0 {
					t.Errorf("%s one cluster restarted members of the other: %q", doing, got)
				}
				if now := s.filesOf(b); !slices.Equal(now, before) {
					t.Errorf("%s one cluster touched the other:\n%s", doing, difference(strings.Join(before, "\n"), strings.Join(now, "\n")))
				}
			}
			was := s.pids(a.unit())
			s.must("backup", "--cluster", a.name)
			s.must("restore", "latest", "-y", "--cluster", a.name)
			if got := restarted(was, s.pids(a.unit())); len(got) != len(s.Hosts()) {
				t.Errorf("a restore has restarted %q", got)
			}
			leftAlone("restoring")
			s.must("destroy", "-y", "--cluster", a.name)
			leftAlone("destroying")
			s.settled("--cluster", b.name)
		})
	}
}

// secluded looks at a host as the member of cluster a there does, for what is cluster b's. A program cannot be
// run in the member's own file systems, so they are looked at through /proc, as root: what
// root does not find there nobody does.
func (s *stage) secluded(h *lab.Host, a, b tenant) {
	s.Helper()
	pid := s.on(h, "systemctl", "show", "--property=MainPID", "--value", a.unit())
	neighbour := s.on(h, "systemctl", "show", "--property=MainPID", "--value", b.unit())
	root := "/proc/" + pid + "/root"
	if user := s.on(h, "stat", "-c", "%U", "/proc/"+pid); user != a.account {
		s.Errorf("%s: the member of %s runs as %s", h.Name(), a.name, user)
	}
	for _, c := range []struct {
		tenant
		there bool
	}{{a, true}, {b, false}} {
		for _, path := range []string{"/etc/quorate/" + c.name + "/pki/peer-key.pem", "/etc/quorate/" + c.name, "/opt/quorate/" + c.name, c.data + "/member", c.data} {
			s.on(h, "test", "-e", path)
			if _, err := h.Exec(s.Context(), "test", "-e", root+path); (err == nil) != c.there {
				s.Errorf("%s: %s in the sandbox of %s is there: %t", h.Name(), path, a.name, err == nil)
			}
		}
	}
	// denied runs a script that has to fail with why, and before it the same one with something that it must not fail with.
	denied := func(why, allowed, script string) {
		s.Helper()
		s.shell(h, allowed)
		if out, err := h.Shell(s.Context(), script); err == nil || !strings.Contains(err.Error(), why) {
			s.Errorf("%s: in the sandbox of %s it was not %q: %s\n%s\n%v", h.Name(), a.name, why, script, out, err)
		}
	}
	denied("Read-only", "touch "+root+a.data+"/f && rm "+root+a.data+"/f", "touch "+root+"/etc/quorate/"+a.name+"/f")
	for _, dir := range []string{a.data, "/tmp", "/var/tmp", "/dev/shm"} {
		file := root + dir + "/evil"
		s.shell(h, "cp /bin/true "+file+" && chmod 0755 "+file)
		denied("Permission denied", root+"/opt/quorate/"+a.name+"/kvserver help", file)
		s.on(h, "rm", file)
	}
	// As the member's account, in its user namespace.
	as := "nsenter --user --preserve-credentials --target " + pid + " setpriv --keep-groups --reuid $(id -u " + a.account + ") --regid $(id -g " + a.account + ") "
	denied("Permission denied", as+"cat /proc/"+pid+"/environ", as+"cat /proc/"+neighbour+"/environ")
	// What systemd runs as root once the member serves works in the same binds.
	s.shell(h, "test -s /etc/quorate/"+a.name+"/formed.json && ! test -e /etc/quorate/"+a.name+"/bootstrap.yaml")
}

// filesOf are the prints of what a cluster has on its hosts.
func (s *stage) filesOf(c tenant) []string {
	s.Helper()
	var out []string
	for _, h := range s.Hosts() {
		for line := range strings.Lines(s.print(h)) {
			if strings.Contains(line, c.name) && !strings.Contains(line, c.data+"/member/") {
				out = append(out, h.Name()+" "+strings.TrimSpace(line))
			}
		}
	}
	if len(out) == 0 {
		s.Fatalf("nothing is there of cluster %q", c.name)
	}
	return out
}
