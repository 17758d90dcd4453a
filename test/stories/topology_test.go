package stories

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"quorate/kvserver/servertest"
	"quorate/test/lab"
)

// The hosts are on a network that only a bastion joins. The members' API is
// reached through the same connections.
func TestThroughABastion(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{Bastion: true})
	s.spec(fmt.Sprintf("connection { proxy_jump = [%q] }", "root@"+s.Bastion().Addr()))
	s.must("apply", "-y")
	s.settled()
	s.must("ctl", "--", "put", "/through", "the bastion")
	if got := s.must("ctl", "--", "get", "/through", "--print-value-only").stdout; got != "the bastion\n" {
		t.Errorf("get printed %q", got)
	}
	// The bastion and the hosts are each verified as themselves.
	s.check(s.Host(0).NewHostKeys(s.Context()))
	s.refused(held, []string{"etcd1", "SHA256:"}, "apply", "-y")
}

// etcd's own release serves in place of kvserver.
func TestUpstreamEtcd(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	if err := buildEtcd(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(workshop, "etcd")
	version := servertest.VersionOf(s, path)
	release := fmt.Sprintf(`
  server {
    etcd {
      version = %q
      source %q {
        url    = %q
        sha256 = %%q
      }
    }
  }`, version, runtime.GOARCH, path)

	s.spec(fmt.Sprintf(release, strings.Repeat("0", 64)))
	before := s.prints(s.Hosts()...)
	s.refused(held, []string{"sha256"}, "apply", "-y")
	s.untouched(before)

	s.spec(fmt.Sprintf(release, s.digestOf(path)))
	s.must("apply", "-y")
	s.settled()
	for _, h := range s.Hosts() {
		pid := s.on(h, "systemctl", "show", "--property=MainPID", "--value", unit)
		if exe := s.on(h, "readlink", "/proc/"+pid+"/exe"); !strings.HasSuffix(exe, "/etcd") {
			t.Errorf("%s: the member's process is %s", h.Name(), exe)
		}
	}
	s.must("ctl", "--", "put", "/name", "xin")
	if r := s.must("backup"); !strings.Contains(r.stdout, "the member holds the same") {
		t.Error(r)
	}

	// A blank disk does not start as new under it either.
	c := s.Host(2)
	s.blank(c)
	s.wake(c)
	s.noMember(c)
	if got := steps(s.plan(pending)); !slices.Contains(got, "expel etcd3") || !slices.Contains(got, "add etcd3") {
		t.Errorf("the plan's steps are %q, want etcd3 to be replaced", got)
	}
	s.restore(c)
	s.wake(c)
	s.healthy()
	s.settled()

	// And back: kvserver on the same data, one member at a time.
	s.spec("")
	s.must("apply", "-y")
	s.settled()
	if got := s.must("ctl", "--", "get", "/name", "--print-value-only").stdout; got != "xin\n" {
		t.Errorf("get printed %q", got)
	}
}

// digestOf is the sha256 of a file.
func (s *stage) digestOf(path string) string {
	s.Helper()
	b, err := os.ReadFile(path)
	s.check(err)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Two clusters share the same three hosts, and neither notices the other.
func TestTwoClustersOnTheSameHosts(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	var events strings.Builder
	events.WriteString("cluster \"events\" {\n")
	for _, h := range s.Hosts() {
		fmt.Fprintf(&events, "  member %q {\n    address     = %q\n    client_port = 3379\n    peer_port   = 3380\n  }\n", h.Name(), h.Addr())
	}
	s.write("main.hcl", cluster("lab", "", s.Hosts())+"\n"+events.String()+"}\n")

	s.must("apply", "-y")
	s.settled("--cluster", "lab")
	s.settled("--cluster", "events")
	s.must("ctl", "--cluster", "lab", "--", "put", "/name", "main")
	s.must("ctl", "--cluster", "events", "--", "put", "/name", "events")
	if got := s.must("ctl", "--cluster", "lab", "--", "get", "/name", "--print-value-only").stdout; got != "main\n" {
		t.Errorf("one cluster says %q", got)
	}

	before := s.pids(unit)
	s.must("destroy", "-y", "--cluster", "events")
	if got := restarted(before, s.pids(unit)); len(got) > 0 {
		t.Errorf("destroying one cluster restarted members of the other: %q", got)
	}
	s.settled("--cluster", "lab")
	for _, h := range s.Hosts() {
		if left := s.shell(h, "find / -xdev -path /proc -prune -o -name '*events*' -path '*quorate*' -print"); left != "" {
			t.Errorf("%s: left of the destroyed cluster: %s", h.Name(), left)
		}
	}
}
