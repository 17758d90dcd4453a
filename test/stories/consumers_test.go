package stories

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quorate/test/lab"
)

// consumerUnit holds a TLS connection with the first of its endpoints, with its own certificate.
const consumerUnit = `[Service]
ExecStart=/usr/local/bin/kube-apiserver
`

const consumerProgram = `#!/bin/sh
dir=/etc/kubernetes/etcd
first=$(cut -d, -f1 $dir/endpoints 2>/dev/null)
while :; do
	tail -f /dev/null | /opt/quorate/lab/kvserver relay --address "${first#https://}" \
		--ca $dir/ca.pem --cert $dir/apiserver.pem --key $dir/apiserver-key.pem >/dev/null
	sleep 1
done
`

// Who uses the cluster is told before a member leaves, restarted when it has to be and not otherwise, and who uses the
// leaving member alone is not forgotten.
func TestConsumersAreTold(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{Hosts: 5})
	control, other := s.Host(3), s.Host(4)
	members := func(hosts ...*lab.Host) {
		s.write("main.hcl", cluster("lab", fmt.Sprintf(`
  host "control" { address = %q }
  client "apiserver" {
    install {
      hosts   = ["control"]
      dir     = "/etc/kubernetes/etcd"
      owner   = "nobody:nogroup"
      restart = ["kube-apiserver"]
    }
  }
  client "backup" {}`, control.Addr()), hosts))
	}
	urls := func(hosts ...*lab.Host) string {
		var out []string
		for _, h := range hosts {
			out = append(out, "https://"+h.Addr()+":2379")
		}
		return strings.Join(out, ",")
	}
	life := func() string {
		return s.on(control, "systemctl", "show", "--property=InvocationID", "--value", "kube-apiserver")
	}
	told := func(want string) {
		t.Helper()
		if got := s.on(control, "cat", "/etc/kubernetes/etcd/endpoints"); got != want {
			t.Errorf("the machine has the endpoints %s, want %s", got, want)
		}
		text, err := os.ReadFile(filepath.Join(s.dir, "pki/lab/clients/backup/endpoints"))
		if err != nil || string(text) != want+"\n" {
			t.Errorf("this side has the endpoints %q, want %s (%v)", text, want, err)
		}
	}
	s.shell(control, "cat >/usr/local/bin/kube-apiserver <<'EOF'\n"+consumerProgram+"EOF\nchmod 755 /usr/local/bin/kube-apiserver\n"+
		"cat >/etc/systemd/system/kube-apiserver.service <<'EOF'\n"+consumerUnit+"EOF\nsystemctl daemon-reload\nsystemctl start kube-apiserver")
	etcd1, etcd2, etcd3 := s.Host(0), s.Host(1), s.Host(2)
	members(etcd1, etcd2, etcd3)
	before := life()
	r := s.must("apply", "-y")
	if after := life(); after == before {
		t.Error("the unit was not restarted for its first endpoints")
	}
	for _, w := range []string{"--etcd-servers=" + urls(etcd1, etcd2, etcd3), "pki/lab/clients/backup.pem", "kube-apiserver.service is back"} {
		if !strings.Contains(strings.Join(strings.Fields(r.stdout), " "), w) {
			t.Errorf("want the words %q\n%s", w, r)
		}
	}
	told(urls(etcd1, etcd2, etcd3))
	if got := s.shell(control, "stat -c '%n %a %U:%G' /etc/kubernetes/etcd /etc/kubernetes/etcd/*"); got != `/etc/kubernetes/etcd 750 root:nogroup
/etc/kubernetes/etcd/apiserver-key.pem 600 nobody:nogroup
/etc/kubernetes/etcd/apiserver.pem 644 nobody:nogroup
/etc/kubernetes/etcd/ca.pem 644 nobody:nogroup
/etc/kubernetes/etcd/endpoints 644 nobody:nogroup` {
		t.Errorf("on the machine lies\n%s", got)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "pki/lab/clients/apiserver-key.pem")); err == nil {
		t.Error("this side has a key that belongs to the machine")
	}
	s.settled()

	before = life()
	s.shell(control, "rm /etc/kubernetes/etcd/apiserver.pem")
	s.must("apply", "-y")
	if after := life(); after != before {
		t.Error("the unit was restarted for a certificate")
	}
	s.settled()

	// The one that leaves is the one that the machine is connected with, and the plan moves it away first.
	members(etcd2, etcd3)
	r = s.must("apply", "-y", "--remove", "etcd1")
	if after := life(); after == before {
		t.Error("the unit was not restarted for other endpoints")
	}
	if !strings.Contains(r.stdout, "--etcd-servers="+urls(etcd2, etcd3)) {
		t.Errorf("the new endpoints are not said\n%s", r)
	}
	told(urls(etcd2, etcd3))
	s.settled()

	// Somebody else is connected with the leaving member alone.
	s.shell(other, fmt.Sprintf("systemd-run --quiet --unit=forgotten bash -c 'while :; do exec 3<>/dev/tcp/%s/2379; sleep 3; done'; sleep 1", etcd3.Addr()))
	members(etcd2)
	r = s.quorate("apply", "-y", "--remove", "etcd3")
	if r.code != held || !strings.Contains(r.stdout, "consumers-connected") || !strings.Contains(r.stdout, other.Addr()) {
		t.Errorf("want it held\n%s", r)
	}
	told(urls(etcd2)) // those that could be told, are
	s.must("apply", "-y", "--remove", "etcd3", "--accept", "consumers-connected")
	s.settled()

	s.must("destroy", "-y")
	if got := s.shell(control, "ls -A /etc/kubernetes/etcd; ls -A /opt"); got != "" {
		t.Errorf("destroy has left\n%s", got)
	}
}
