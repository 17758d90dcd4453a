package stories

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"quorate/test/lab"
)

const unit = "quorate-lab.service"

// A fresh cluster from the smallest spec, as each kind of user; what it looks
// like on the hosts; a second apply; and nothing left after destroy.
func TestFreshApply(t *testing.T) {
	t.Parallel()
	users := map[string]struct{ connection, env string }{
		"root":               {``, "X=x"},
		"sudo":               {`connection { user = "` + lab.UserSudo + `" }`, "X=x"},
		"sudo with password": {"connection {\n user = \"" + lab.UserSudoPW + "\"\n sudo_password = env(\"SUDO_PASSWORD\")\n}", "SUDO_PASSWORD="},
	}
	for name, user := range users {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, lab.Options{})
			env := user.env
			if strings.HasSuffix(env, "=") {
				env += s.Password()
			}
			clean := s.prints(s.Hosts()...)
			s.spec(user.connection)

			if got := s.must(env, "apply", "-y").stdout; !strings.Contains(got, "cluster lab") {
				t.Errorf("apply did not speak of the cluster:\n%s", got)
			}
			s.settledWith(env)
			s.servesAndIsHardened(env)

			before := s.pids(unit)
			if r := s.must(env, "apply", "-y"); !strings.Contains(r.stdout, "no changes") {
				t.Errorf("the second apply did not say that there is nothing to do\n%s", r)
			}
			if got := restarted(before, s.pids(unit)); len(got) > 0 {
				t.Errorf("the second apply restarted %q", got)
			}

			s.must(env, "destroy", "-y")
			for h, was := range clean {
				// The account stays, as packages leave theirs.
				now := s.print(h)
				if left := unexplained(difference(was, now)); len(left) > 0 {
					t.Errorf("destroy left on %s:\n%s", h.Name(), strings.Join(left, "\n"))
				}
			}
		})
	}
}

// unexplained drops from a difference what making the system account changes.
func unexplained(diff string) []string {
	var left []string
	for line := range strings.Lines(diff) {
		line = strings.TrimRight(line, "\n")
		if !regexp.MustCompile(`^[-+] /etc/(passwd|group|shadow|gshadow|subuid|subgid|\.pwd\.lock)-? `).MatchString(line) {
			left = append(left, line)
		}
	}
	return left
}

func (s *stage) settledWith(env string) {
	s.Helper()
	r := s.must(env, "plan", "--detailed-exitcode")
	if !strings.Contains(r.stdout, "no changes") {
		s.Errorf("the plan after an apply is not empty\n%s", r)
	}
}

// servesAndIsHardened looks at a cluster as an operator and an auditor would.
func (s *stage) servesAndIsHardened(env string) {
	s.Helper()
	if got := s.must(env, "ctl", "--", "put", "/name", "xin").stdout; got != "OK\n" {
		s.Errorf("put printed %q", got)
	}
	if got := s.must(env, "ctl", "--", "get", "/name").stdout; got != "/name\nxin\n" {
		s.Errorf("get printed %q", got)
	}
	if got := s.must(env, "ctl", "--", "get", "/", "--prefix", "--keys-only").stdout; strings.TrimSpace(got) != "/name" {
		s.Errorf("get --keys-only printed %q", got)
	}
	var members struct {
		Members []struct {
			Name      string `json:"name"`
			IsLearner bool   `json:"isLearner"`
		} `json:"members"`
	}
	r := s.must(env, "ctl", "--", "member", "list", "-w", "json")
	if err := json.Unmarshal([]byte(r.stdout), &members); err != nil || len(members.Members) != 3 {
		s.Errorf("member list: %v\n%s", err, r)
	}
	for _, m := range members.Members {
		if m.Name == "" || m.IsLearner {
			s.Errorf("member list has a member that did not join: %+v", m)
		}
	}
	for _, h := range s.Hosts() {
		score := s.shell(h, "systemd-analyze security --no-pager "+unit+" | tail -n1")
		m := regexp.MustCompile(`: ([0-9.]+) `).FindStringSubmatch(score)
		if m == nil {
			s.Errorf("%s: no exposure level in %q", h.Name(), score)
		} else if level, _ := strconv.ParseFloat(m[1], 64); level > 1.2 {
			s.Errorf("%s: exposure level %.1f, want at most 1.2", h.Name(), level)
		}
		pid := s.on(h, "systemctl", "show", "--property=MainPID", "--value", unit)
		if user := s.shell(h, "stat -c %U /proc/"+pid); user != "quorate-lab" {
			s.Errorf("%s: the member runs as %s", h.Name(), user)
		}
		if open := s.shell(h, "find /etc/quorate /var/lib/quorate -name '*key*' -type f -perm /077"); open != "" {
			s.Errorf("%s: keys that others may read: %s", h.Name(), open)
		}
		if enabled := s.on(h, "systemctl", "is-enabled", unit); enabled != "enabled" {
			s.Errorf("%s: the unit is %s", h.Name(), enabled)
		}
	}
}

// Every host loses power at once. The cluster comes back by itself; with the
// units stopped by hand, apply starts all members together.
func TestColdStart(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("")
	s.must("apply", "-y")
	s.must("ctl", "--", "put", "/kept", "yes")

	for _, h := range s.Hosts() {
		s.check(h.PowerCut(s.Context()))
	}
	for _, h := range s.Hosts() {
		s.check(h.Boot(s.Context()))
	}
	for _, h := range s.Hosts() {
		// Type=notify: the unit is active once the member serves.
		s.shell(h, "timeout 60 sh -c 'until systemctl is-active --quiet "+unit+"; do sleep 0.1; done'")
	}
	s.settled()

	for _, h := range s.Hosts() {
		s.on(h, "systemctl", "stop", unit)
	}
	p := s.plan(pending)
	if p.Before.Healthy != 0 || p.After.Healthy != 3 {
		t.Errorf("the plan says %d healthy voters before and %d after", p.Before.Healthy, p.After.Healthy)
	}
	s.must("apply", "-y")
	s.settled()
	if got := s.must("ctl", "--", "get", "/kept", "--print-value-only").stdout; got != "yes\n" {
		t.Errorf("what was written is now %q", got)
	}
}

// From nothing: init writes the spec, which is valid and planned; a client
// block is added, which changes nothing on the hosts, and etcd's own etcdctl works with what
// env prints.
func TestFromInitToEtcdctl(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	if err := buildEtcdctl(); err != nil {
		t.Fatal(err)
	}
	args := []string{"init"}
	for _, h := range s.Hosts() {
		args = append(args, "--host", h.Addr())
	}
	s.must(args...)
	s.must("validate")
	s.must("fmt", "--check")
	s.must("apply", "-y")
	s.settled()

	files, err := filepath.Glob(filepath.Join(s.dir, "*.hcl"))
	s.check(err)
	if len(files) != 1 {
		t.Fatalf("init wrote %q", files)
	}
	b, err := os.ReadFile(files[0])
	s.check(err)
	header := regexp.MustCompile(`(?m)^cluster "[^"]+" \{\n`)
	s.check(os.WriteFile(files[0], []byte(header.ReplaceAllString(string(b), "$0  client \"app\" {}\n")), 0o600))
	before, pids := s.prints(s.Hosts()...), s.pids(unit)
	if got := steps(s.plan(pending)); !slices.Equal(got, []string{"client app", "endpoints app"}) {
		t.Errorf("the plan's steps are %q, want only those of the client", got)
	}
	s.must("apply", "-y")
	for h, was := range before {
		for line := range strings.Lines(difference(was, s.print(h))) {
			if !strings.Contains(line, "/manifest.json ") { // it names the spec that was applied
				t.Errorf("host %s was touched: %s", h.Name(), line)
			}
		}
	}
	if got := restarted(pids, s.pids(unit)); len(got) > 0 {
		t.Errorf("a new client restarted %q", got)
	}

	export := s.must("env").stdout
	for _, args := range []string{"put /name xin", "get /name", "endpoint health --cluster", "member list"} {
		out, err := s.op.Command(s.Context(), "sh", "-euc", export+filepath.Join(workshop, "etcdctl")+" "+args).CombinedOutput()
		if err != nil {
			t.Errorf("etcdctl %s: %v\n%s", args, err, out)
		}
	}
}
