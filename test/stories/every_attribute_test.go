package stories

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"quorate/test/lab"
)

// Every attribute that the spec knows is set in one spec or the other here, to
// something that is not its default, and a cluster is started with it on real hosts. That none is
// missing is compared with what `init` lists.
func TestEveryAttributeStarts(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	var members strings.Builder
	for i, h := range s.Hosts() {
		// A name and an IPv6 address beside an IPv4 one: what a member is dialled by and what it is reached by over SSH differ.
		s.shell(h, fmt.Sprintf("ip -6 addr add fd00:198:18::%d/64 dev $(ip -o -4 addr show | awk '/198.18.0/ { print $2; exit }') nodad", 11+i))
		for j, o := range s.Hosts() {
			s.shell(h, fmt.Sprintf("echo '%s etcd%d.lab' >>/etc/hosts", o.Addr(), j+1))
		}
		address := []string{"etcd1.lab", "fd00:198:18::12", s.Host(2).Addr()}[i]
		fmt.Fprintf(&members, `
  member "etcd%d" {
    address      = %q
    client_port  = %d
    peer_port    = %d
    metrics_port = 12381
    extra_sans   = ["etcd%d.example.com", %q, "fd00:198:18::%d"]
    connection {
      host      = %q
      host_keys = [%q]
    }
  }`, i+1, address, 12379+10*i, 12380+10*i, i+1, h.Addr(), 11+i, h.Addr(), s.hostKey(h))
	}
	for _, h := range s.Hosts() {
		s.shell(h, "timeout 10 sh -c 'until ping -q -c1 -W1 fd00:198:18::12 >/dev/null 2>&1; do sleep 0.1; done' || true")
	}
	kvserver, err := os.ReadFile(filepath.Join(workshop, "kvserver"))
	s.check(err)
	text := fmt.Sprintf(`cluster "lab" {
  connection {
    type                     = "ssh"
    port                     = 22
    user                     = %q
    identity_file            = [%q]
    passphrase               = env("NO_PASSPHRASE")
    password                 = env("NO_PASSWORD")
    agent                    = false
    ssh_config               = "none"
    known_hosts_file         = %q
    strict_host_key_checking = "accept-new"
    sudo                     = "always"
    sudo_password            = env("SUDO_PASSWORD")
    connect_timeout          = "5s"
    wait_for_host            = "1s"
    keep_alive               = "5s"
  }
  server {
    binary                    = %q
    kvserver_sha256           = { %s = "%x" }
    data_dir                  = "/srv/etcd/data"
    wal_dir                   = "/srv/wal/lab"
    user                      = "kv"
    quota_backend_bytes       = "1GiB"
    auto_compaction_mode      = "revision"
    auto_compaction_retention = "10000"
    snapshot_count            = 5000
    max_request_bytes         = "2MiB"
    heartbeat_interval        = 200
    election_timeout          = 2000
    log_level                 = "warn"
    extra_options             = { max-txn-ops = 512, pre-vote = true, cors = "https://example.com:443" }
  }
  tls {
    dir           = "keys"
    key_algorithm = "ecdsa-p384"
    ca_lifetime   = "700d"
    leaf_lifetime = "90d"
    renew_before  = "10d"
    extra_sans    = ["kv.example.com"]
    encryption { passphrase = env("CA_PASSPHRASE") }
  }
  backup {
    dir          = "/srv/backups"
    keep         = 3
    interval     = "0s"
    copies       = 1
    prove        = "never"
    textfile_dir = "/srv/numbers"
    encryption { passphrase = env("CA_PASSPHRASE") }
  }
  protect = true
  client "app" {
    common_name  = "kube-apiserver-etcd-client"
    organization = ["system:masters"]
    dir          = "handed-over"
  }%s
}
`, lab.UserSudoPW, s.op.Key(), s.op.KnownHosts(), workshop, runtime.GOARCH, sha256.Sum256(kvserver), members.String())
	s.write("main.hcl", text)
	env := []string{"SUDO_PASSWORD=" + s.Password(), "CA_PASSPHRASE=open-sesame-4712", "NO_PASSPHRASE=not-needed", "NO_PASSWORD=" + s.Password()}
	run := func(args ...string) result { return s.must(append(slices.Clone(env), args...)...) }
	run("apply", "-y")
	if r := run("plan", "--detailed-exitcode"); !strings.Contains(r.stdout, "no changes") {
		t.Errorf("not settled\n%s", r)
	}
	run("ctl", "--", "put", "/name", "xin")
	for _, h := range s.Hosts() {
		if got := s.shell(h, "ls /srv/etcd/data/member /srv/wal/lab; ss -ltn"); !strings.Contains(got, "wal") || !strings.Contains(got, "127.0.0.1:12381 ") {
			t.Errorf("%s holds and listens on\n%s", h.Name(), got)
		}
	}
	for _, f := range []string{"handed-over/app.pem", "handed-over/app-key.pem", "keys/ca.pem", "keys/ca-key.pem.age"} {
		if _, err := os.Stat(filepath.Join(s.dir, f)); err != nil {
			t.Error(err)
		}
	}
	s.everyAttributeIn(text)
	run("destroy", "-y")
}

// startedElsewhere are attributes whose story is another one, by name.
var startedElsewhere = map[string]string{
	"hosts": "TestConsumersAreTold", "owner": "TestConsumersAreTold", "restart": "TestConsumersAreTold",
	"proxy_jump": "TestThroughABastion", "version": "TestUpstreamEtcd", "url": "TestUpstreamEtcd", "sha256": "TestUpstreamEtcd",
	"ca_cert": "TestOwnCA", "ca_key": "TestOwnCA", "recipients": "TestOwnCA",
	"preset": "TestRestoreStopsWhoDepends", "units": "TestRestoreStopsWhoDepends", "manifests": "TestRestoreStopsWhoDepends", // by the preset
	"processes": "TestRestoreStopsWhoDepends", "ports": "TestRestoreStopsWhoDepends", "timeout": "TestRestoreStopsWhoDepends",
	// root is of local members, which this machine's demo and the command line's own tests start.
	"root": "",
}

// everyAttributeIn compares a spec with the attributes that `init` lists.
func (s *stage) everyAttributeIn(text string) {
	s.Helper()
	listed := s.must("init", "--host", "198.18.0.11", "-o", "-").stdout
	seen := 0
	for _, m := range regexp.MustCompile(`(?m)^ *(?:# *)*([a-z0-9_]+) = `).FindAllStringSubmatch(listed, -1) {
		name := m[1]
		if _, ok := startedElsewhere[name]; ok {
			continue
		}
		seen++
		if !regexp.MustCompile(`(?m)\b` + name + ` += `).MatchString(text) {
			s.Errorf("no story starts a cluster with the attribute %s", name)
		}
	}
	if seen < 30 {
		s.Errorf("only %d attributes found in what init lists:\n%s", seen, listed)
	}
}

// hostKey is the fingerprint of one of a host's keys.
func (s *stage) hostKey(h *lab.Host) string {
	s.Helper()
	return strings.Fields(s.shell(h, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"))[1]
}
