package stories

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quorate/test/lab"
)

// Hosts that forbid forwarding, logins with a umask of 077, a small /tmp that runs no programs, and a WAL in
// a folder of its own that is a mount point: all of it works, and so does a unit that the administrator has changed or masked.
func TestHardenedHosts(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	const unit = "quorate-lab.service"
	for _, h := range s.Hosts() {
		s.shell(h, `echo 'AllowTcpForwarding no' >/etc/ssh/sshd_config.d/00-hard.conf
			`+restartSSH+`
			for f in common-session common-session-noninteractive; do echo 'session required pam_umask.so umask=0077' >>/etc/pam.d/$f; done
			[ "$(su -c umask - `+lab.UserSudo+`)" = 0077 ]
			mount -t tmpfs -o noexec,nosuid,nodev,mode=1777,size=48m none /tmp
			mkdir -p /srv/wal && mount -t tmpfs -o size=300m none /srv/wal`)
	}
	s.spec("server {\n  wal_dir = \"/srv/wal\"\n  quota_backend_bytes = \"64MiB\"\n}")
	s.must("apply", "-y")
	s.settled()
	h := s.Host(1)
	if got := s.shell(h, "ls /srv/wal"); strings.TrimSpace(got) != "wal" {
		t.Errorf("/srv/wal holds %q", got)
	}
	s.shell(h, "mkdir -p /etc/systemd/system/"+unit+".d && printf '[Service]\\nNice=5\\n' >/etc/systemd/system/"+unit+".d/nice.conf && systemctl daemon-reload")
	if p := s.plan(0); len(p.Notes) == 0 || !strings.Contains(strings.Join(p.Notes, "\n"), "nice.conf") {
		t.Errorf("a drop-in is not shown: %q", p.Notes)
	}
}

// A changed client port is a roll like any other; a process that keeps ending
// is held with the cause; and other hosts under the name of a cluster that was
// formed are not made a second one.
func TestPortsLoopsAndExchangedHosts(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("")
	s.must("apply", "-y")
	s.settled()
	s.write("main.hcl", strings.NewReplacer("{ address", "{\n    address", "\" }\n", "\"\n    client_port = 12379\n  }\n").Replace(cluster("lab", "", s.Hosts())))
	p := s.plan(pending)
	if p.Before.Healthy != 3 || p.After.Healthy != 3 {
		t.Errorf("voters %v, afterwards %v", p.Before, p.After)
	}
	r := s.must("apply", "-y")
	if !strings.Contains(r.stdout, ":12379") {
		t.Errorf("it does not say where the cluster serves:\n%s", r.stdout)
	}
	s.settled()
	s.must("ctl", "--", "put", "/new", "port")

	const unit = "quorate-lab.service"
	h := s.Host(2)
	s.shell(h, "systemctl stop "+unit+" && chown -R root:root /var/lib/quorate/lab/member && systemctl start --no-block "+unit)
	s.shell(h, "timeout 60 sh -c 'until [ $(systemctl show -P NRestarts "+unit+") -ge 3 ]; do sleep 0.2; done'")
	s.refused(held, []string{"etcd3", "not-serving", "permission denied"}, "apply", "-y")
	s.shell(h, "chown -R quorate-lab:quorate-lab /var/lib/quorate/lab/member")
	s.healthy()
	s.must("apply", "-y")
	s.settled()

	s.check(s.Reset(s.Context()))
	if got := reasons(s.plan(held)); !slices.Contains(got, "cluster-gone lab") {
		t.Errorf("held are %q", got)
	}
	s.refused(held, []string{"cluster-gone"}, "apply", "-y")
	s.refused(held, []string{"cluster-gone"}, "destroy", "-y")
	s.must("destroy", "-y", "--forget")
	s.must("apply", "-y")
	s.settled()
}

// Members of a cluster from before they knew each other by name: an apply has them shake hands, and then rolls the
// demand for the name through them; afterwards a client's certificate is refused on the peer port.
func TestPeersAreKnownByName(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("client \"app\" {}")
	s.must("apply", "-y")
	s.settled()
	for _, h := range s.Hosts() {
		s.shell(h, `sed -i '/^ *allowed-cn:/,+1d' /etc/quorate/lab/etcd.yaml
			! grep -q quorate-peer /etc/quorate/lab/etcd.yaml
			systemctl restart quorate-lab.service`)
		s.healthy()
	}
	if r := s.must("status"); !strings.Contains(strings.Join(strings.Fields(r.stdout), " "), "can pass for a member on the peer port") {
		t.Errorf("status does not warn\n%s", r)
	}
	if got := steps(s.plan(pending)); !slices.Contains(got, "peers etcd1,etcd2,etcd3") {
		t.Errorf("the steps are %q", got)
	}
	// What answers to a client's certificate on a peer port.
	greets := func() bool {
		cmd := s.op.Command(s.Context(), "sh", "-c", "(printf 'GET /version HTTP/1.0\\r\\n\\r\\n'; sleep 2) | timeout 20 openssl s_client -quiet -connect "+s.Host(1).Addr()+
			":2380 -cert app.pem -key app-key.pem -CAfile ca.pem 2>&1 | grep -q '200 OK'")
		cmd.Dir = filepath.Join(s.dir, "pki/lab/clients")
		return cmd.Run() == nil
	}
	if !greets() {
		t.Error("a client's certificate is refused where it should not be yet: what follows proves nothing")
	}
	s.must("apply", "-y")
	s.settled()
	if greets() {
		t.Error("a client's certificate is taken for a peer's")
	}
	s.shell(s.Host(0), "grep -q quorate-peer /etc/quorate/lab/etcd.yaml")
}
