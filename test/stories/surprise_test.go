package stories

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/test/lab"
)

// Hosts that do not reach each other's peer ports, one machine under two
// addresses, a folder that somebody else uses: found before anything is
// started, with both ends named.
func TestNetworkAndFoldersAreCheckedFirst(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	a, b, c := s.Host(0), s.Host(1), s.Host(2)
	s.spec(quick)

	s.check(a.Unroute(s.Context(), b))
	r := s.refused(failed, []string{"etcd1 cannot reach etcd2 at " + b.Addr(), "etcd2 cannot reach etcd1", "nothing was started"}, "apply", "-y")
	if strings.Contains(r.stdout, "serves at") {
		t.Errorf("success is claimed\n%s", r)
	}
	for _, h := range s.Hosts() {
		if got := s.shell(h, "systemctl is-active "+unit+" || true"); got != "inactive" {
			t.Errorf("%s is %s", h.Name(), got)
		}
	}
	s.check(a.Reroute(s.Context(), b))
	s.must("destroy", "-y")

	s.shell(c, "ip addr add 198.18.0.77/24 dev $(ip -o -4 addr show | awk '/198.18.0/ { print $2; exit }')")
	trusting := strings.Replace(quick, "}", "strict_host_key_checking = \"accept-new\" }", 1)
	trusting = strings.NewReplacer("{ ", "{\n", "\" str", "\"\nstr", " }", "\n}").Replace(trusting)
	s.write("main.hcl", strings.Replace(cluster("lab", trusting, s.Hosts()), b.Addr(), "198.18.0.77", 1))
	r = s.quorate("apply", "-y")
	if r.code == done || !strings.Contains(r.stdout+r.stderr, "same machine") {
		t.Errorf("one machine as two members\n%s", r)
	}
	s.write("main.hcl", strings.Replace(cluster("lab", quick, s.Hosts()), "{ address = \""+c.Addr()+"\" }", "{\n    address = \"198.18.0.99\"\n    connection { host = \""+c.Addr()+"\" }\n  }", 1))
	s.refused(held, []string{"address-missing", "198.18.0.99"}, "apply", "-y")

	s.shell(b, "mkdir -p /srv/shared && echo mine >/srv/shared/theirs")
	s.spec(quick + "\nserver { data_dir = \"/srv/shared\" }")
	if got := reasons(s.plan(held)); !slices.Contains(got, "folder-in-use etcd2") {
		t.Errorf("held are %q", got)
	}
	s.refused(held, []string{"folder-in-use", "theirs"}, "apply", "-y")
	s.shell(b, "rm /srv/shared/theirs && mkdir /srv/shared/lost+found")
	s.must("apply", "-y")
	s.settled()
	s.shell(b, "echo mine >/srv/other")
	s.must("destroy", "-y")
	if got := s.shell(b, "ls -A /srv /srv/shared"); !strings.Contains(got, "lost+found") || !strings.Contains(got, "other") {
		t.Errorf("destroy took what was not ours: %s", got)
	}
}

// buildBroken builds a kvserver that passes every check and ends when it is to serve.
func buildBroken(to string) error {
	const source, line = "kvserver/server/server.go", "\tcfg.SetupGlobalLoggers()\n"
	text, err := os.ReadFile(filepath.Join("../..", source))
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), line) {
		return fmt.Errorf("%s has no line %q", source, line)
	}
	at, err := filepath.Abs(filepath.Join("../..", source))
	if err != nil {
		return err
	}
	patched, overlay := filepath.Join(workshop, "server.go"), filepath.Join(workshop, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {at: patched}})
	if err != nil {
		return err
	}
	broken := strings.Replace(string(text), line, "\tif cfg.Name != \"\" {\n\t\treturn errors.New(\"this build is broken\")\n\t}\n"+line, 1)
	if err := errors.Join(os.WriteFile(patched, []byte(broken), 0o600), os.WriteFile(overlay, list, 0o600)); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "-trimpath", "-ldflags=-s -w", "-o", to, "./cmd/kvserver")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build a broken kvserver: %w\n%s", err, out)
	}
	return nil
}

// A setting or a build that does not start takes one voter at most, and no
// other host has it on its disk; its cause is shown at once, and the
// corrected spec mends it.
func TestWhatDoesNotStartStopsAtTheFirstMember(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(`client "app" {}`)
	s.must("apply", "-y")
	c := s.client()
	l := s.startLoad(c, time.Minute)
	s.check(buildBroken(filepath.Join(s.dir, "broken/kvserver")))
	for _, bad := range []struct {
		server, cause, where string
		poisoned             int
	}{
		// The member's own binary finds this one when it tries the file: no host gets it.
		{`extra_options = { auth-token = "jwt,pub-key=/nowhere/key.pem,sign-method=RS256" }`, "/nowhere/key.pem", "/etc/quorate/lab/etcd.yaml", 0},
		// This one shows when the first member starts.
		{`binary = "broken"`, "this build is broken", "/opt/quorate/lab/kvserver", 1},
	} {
		s.spec("client \"app\" {}\nserver { " + bad.server + " }")
		r := s.refused(failed, []string{bad.cause}, "apply", "-y")
		if strings.Contains(r.stdout, "serves at") && !strings.Contains(r.stdout, "2/3") {
			t.Errorf("success is claimed\n%s", r)
		}
		poisoned := 0
		for _, h := range s.Hosts() {
			if s.shell(h, "grep -qa '"+bad.cause+"' "+bad.where+" && echo yes || echo no") == "yes" {
				poisoned++
			}
		}
		if poisoned != bad.poisoned {
			t.Errorf("%s: %d hosts have it on disk, want %d", bad.server, poisoned, bad.poisoned)
		}
	}
	s.spec(`client "app" {}`)
	s.must("apply", "-y")
	s.settled()
	s.end(l, c)
}
