package stories

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/kvserver/servertest"
	"quorate/plan"
	"quorate/test/lab"
)

// soak skips a story in an ordinary run of the tests.
func soak(t *testing.T) {
	t.Helper()
	if os.Getenv("QUORATE_SOAK") == "" {
		t.Skip("only in a soak: QUORATE_SOAK is not set")
	}
}

// want writes a spec with these members and, before them, more of the cluster.
func (s *stage) want(more string) {
	s.Helper()
	s.write("main.hcl", s.text(more))
}

// listed are the members as the cluster lists them, by name: "etcd1", or "etcd4 (learner)"; one that has never
// started is "".
func (s *stage) listed(args ...string) []string {
	s.Helper()
	r := s.must(append(append([]string{"ctl"}, args...), "--", "member", "list", "-w", "json")...)
	var list struct {
		Members []struct {
			Name      string `json:"name"`
			IsLearner bool   `json:"isLearner"`
		} `json:"members"`
	}
	s.check(json.Unmarshal([]byte(r.stdout), &list))
	names := []string{}
	for _, m := range list.Members {
		if m.IsLearner {
			m.Name += " (learner)"
		}
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

// are checks who the members are, and that nothing is left to do.
func (s *stage) are(names ...string) {
	s.Helper()
	if got := s.listed(); !slices.Equal(got, names) {
		s.Fatalf("the members are %q, want %q", got, names)
	}
	s.settled()
}

// bystanders are hosts on which a change of members may do nothing but write the manifest: neither to files nor to the process.
type bystanders struct {
	prints map[*lab.Host]string
	pids   map[*lab.Host]string
}

func (s *stage) watch(hosts ...*lab.Host) bystanders {
	s.Helper()
	b := bystanders{s.prints(hosts...), map[*lab.Host]string{}}
	for _, h := range hosts {
		b.pids[h] = s.on(h, "systemctl", "show", "--property=MainPID", "--value", unit)
	}
	return b
}

func (s *stage) undisturbed(b bystanders) {
	s.Helper()
	for h, was := range b.prints {
		if now := s.on(h, "systemctl", "show", "--property=MainPID", "--value", unit); now != b.pids[h] {
			s.Errorf("%s was restarted: %s, then %s", h.Name(), b.pids[h], now)
		}
		for line := range strings.Lines(difference(was, s.print(h))) {
			if !strings.Contains(line, "/manifest.json ") && !strings.Contains(line, "/member/") { // what the member itself writes
				s.Errorf("host %s was touched: %s", h.Name(), line)
			}
		}
	}
}

// cleaned checks that nothing of a member is left on its host but data, aside.
func (s *stage) cleaned(h *lab.Host) {
	s.Helper()
	if left := s.shell(h, "ls -d /etc/quorate/lab /opt/quorate/lab /etc/systemd/system/"+unit+" "+memberDir+" 2>/dev/null || true"); left != "" {
		s.Errorf("%s still has %s", h.Name(), left)
	}
	if s.shell(h, "find /var/lib/quorate -name '*.wal' | grep -c /.aside/ || true") == "0" {
		s.Errorf("%s has no data aside", h.Name())
	}
	if now := s.shell(h, "systemctl is-active "+unit+" || true"); now == "active" || now == "activating" {
		s.Errorf("%s: the unit is %s", h.Name(), now)
	}
}

// From one member to three, and back to two by the leader's going, under a writer; in a soak by way of five, and back to one.
func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	long := os.Getenv("QUORATE_SOAK") != ""
	hosts := 3
	if long {
		hosts = 5
	}
	s := open(t, lab.Options{Hosts: hosts})
	s.want(members(1))
	s.must("apply", "-y")
	s.must("ctl", "--", "put", "/kept", "yes")
	c := s.consumer([]string{"https://" + s.Host(0).Addr() + ":2379"})
	l := s.startLoad(c, time.Minute)
	step := func(more string, options []string, names ...string) {
		t.Helper()
		stays := s.watch(s.Hosts()[:1]...)
		from := time.Now()
		s.want(more)
		s.must(append([]string{"apply", "-y"}, options...)...)
		to := time.Now()
		s.are(names...)
		s.undisturbed(stays)
		t.Logf("%q after %.1fs", names, to.Sub(from).Seconds())
	}
	step(members(1, 2, 3), nil, "etcd1", "etcd2", "etcd3")
	if long {
		step(members(1, 2, 3, 4, 5), nil, "etcd1", "etcd2", "etcd3", "etcd4", "etcd5")
		step(members(1, 2, 3), []string{"--remove", "etcd4", "--remove", "etcd5", "--accept", "spec-behind"}, "etcd1", "etcd2", "etcd3")
		s.cleaned(s.Host(3))
		s.cleaned(s.Host(4))
	}
	s.must("member", "move-leader", "etcd3")
	stays := s.watch(s.Host(0), s.Host(1))
	s.must("member", "remove", "etcd3", "-y")
	s.are("etcd1", "etcd2")
	s.undisturbed(stays)
	s.cleaned(s.Host(2))
	if long {
		s.must("member", "remove", "etcd2", "-y")
		s.are("etcd1")
		s.cleaned(s.Host(1))
	}
	s.end(l, c)
	s.reads("/kept", "yes")
}

// A dead host is replaced by a new one without being there. It boots again with its old data: that is never a
// member again, it is seen by its id, and the next apply cleans it. Then a member moves there under its name, and a host that was
// reinstalled empty is filled again.
func TestDeadHostIsReplaced(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{Hosts: 4})
	s.want(impatient + members(1, 2, 3))
	s.must("apply", "-y")
	s.must("ctl", "--", "put", "/kept", "yes")
	dead := s.Host(2)
	s.check(dead.PowerCut(s.Context()))
	stays := s.watch(s.Host(0), s.Host(1))
	s.want(impatient + members(1, 2, 4))
	r := s.must("apply", "-y")
	if !strings.Contains(r.stdout+r.stderr, "etcd3") {
		t.Errorf("the dead one is not named\n%s", r)
	}
	s.are("etcd1", "etcd2", "etcd4")
	s.undisturbed(stays)

	s.check(dead.Boot(s.Context()))
	s.shell(dead, "timeout 60 sh -c 'until [ \"$(systemctl is-active "+unit+")\" != activating ]; do sleep 0.2; done' || true")
	if got := s.listed(); !slices.Equal(got, []string{"etcd1", "etcd2", "etcd4"}) {
		t.Errorf("with the dead one back the members are %q", got)
	}
	p := s.plan(pending)
	if got := steps(p); slices.ContainsFunc(got, func(id string) bool { return strings.HasPrefix(id, "start") || strings.HasPrefix(id, "add") }) {
		t.Errorf("with the dead one back the steps are %q", got)
	}
	s.must("apply", "-y")
	s.are("etcd1", "etcd2", "etcd4")
	s.cleaned(dead)

	// A name taken out and added again elsewhere, in one change of the spec.
	s.want(impatient + members(1, 2) + "member \"etcd4\" { address = \"@3\" }\n")
	var names []string
	for _, step := range s.plan(pending).Steps {
		if a, ok := step.Action.(*plan.Expel); ok && a.Answers {
			names = append(names, a.Target.Name)
		}
	}
	s.must(confirmed(names)...)
	s.are("etcd1", "etcd2", "etcd4")
	s.undisturbed(stays)
	s.cleaned(s.Host(3))

	s.shell(dead, "systemctl disable --now "+unit+` 2>/dev/null
		rm -rf /etc/quorate /opt/quorate /var/lib/quorate /etc/systemd/system/`+unit+`; systemctl daemon-reload; userdel quorate-lab`)
	s.must("apply", "-y")
	s.are("etcd1", "etcd2", "etcd4")
	s.undisturbed(stays)
	s.reads("/kept", "yes")
}

// What keeps a fourth host from joining costs the three nothing: dead, with another clock, or cut off from the
// members' peer ports. Half of a join that somebody made by hand is taken up.
func TestFourthHostCannotJoin(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{Hosts: 4})
	s.want(impatient + members(1, 2, 3))
	s.must("apply", "-y")
	three, fourth := []*lab.Host{s.Host(0), s.Host(1), s.Host(2)}, s.Host(3)
	stays := s.watch(three...)
	c := s.client()
	l := s.startLoad(c, time.Minute)
	s.want(impatient + members(1, 2, 3, 4))

	s.check(fourth.LinkDown(s.Context()))
	s.refused(held, []string{"etcd4", fourth.Addr()}, "apply", "-y")
	s.undisturbed(stays)
	s.check(fourth.LinkUp(s.Context()))

	s.check(fourth.FakeClock(s.Context(), 24*time.Hour))
	before := s.prints(s.Hosts()...)
	s.refused(held, []string{"clock-skew", "etcd4", "24h"}, "apply", "-y")
	s.untouched(before)
	s.check(fourth.FakeClock(s.Context(), 0))

	for _, h := range three {
		s.check(fourth.Unroute(s.Context(), h))
	}
	s.refused(failed, []string{"etcd4 cannot connect with etcd1 at " + s.Host(0).Addr() + ":2380"}, "apply", "-y")
	voters := slices.DeleteFunc(s.listed(), func(n string) bool { return strings.HasSuffix(n, "(learner)") })
	if !slices.Equal(voters, []string{"etcd1", "etcd2", "etcd3"}) {
		t.Errorf("the voters are %q", voters)
	}
	for _, h := range three {
		s.check(fourth.Reroute(s.Context(), h))
	}
	s.mended()
	s.are("etcd1", "etcd2", "etcd3", "etcd4")

	if os.Getenv("QUORATE_SOAK") == "" {
		s.end(l, c)
		s.undisturbed(stays)
		return
	}
	// Taken out again; and two of the three that are left, at once, is a slip.
	s.must("member", "remove", "etcd4", "-y", "--accept", "spec-behind")
	s.are("etcd1", "etcd2", "etcd3")
	s.refused(held, []string{"majority-removed", "2 of 3 voters", "quorum of 2"}, "member", "remove", "etcd2", "etcd3", "-y")

	// "Peer URLs already exists": somebody has begun by hand, as a learner or as a voter, and not gone on.
	for _, role := range []string{"--learner", ""} {
		add := slices.DeleteFunc([]string{"ctl", "--", "member", "add", "etcd4", role, "--peer-urls=https://" + fourth.Addr() + ":2380"}, func(a string) bool { return a == "" })
		s.must(add...)
		s.want(impatient + members(1, 2, 3, 4))
		s.must("apply", "-y", "--accept", "spec-behind")
		s.are("etcd1", "etcd2", "etcd3", "etcd4")
		s.must("member", "remove", "etcd4", "-y", "--accept", "spec-behind")
		s.are("etcd1", "etcd2", "etcd3")
	}

	// One that is a learner and nobody wants any more is expelled.
	for _, h := range three {
		s.check(fourth.Unroute(s.Context(), h))
	}
	s.want(impatient + members(1, 2, 3, 4))
	s.refused(failed, []string{"etcd4", "cannot connect with"}, "apply", "-y", "--accept", "spec-behind")
	s.want(impatient + members(1, 2, 3))
	s.must("apply", "-y", "--accept", "spec-behind")
	s.are("etcd1", "etcd2", "etcd3")
	s.end(l, c)
	s.undisturbed(stays)
}

// Whatever the members are like, one joins and goes again.
func TestMembersOfEveryKindComeAndGo(t *testing.T) {
	t.Parallel()
	soak(t)
	line := regexp.MustCompile(`member "etcd(\d)" \{ (address = "[^"]*") \}`)
	for name, c := range map[string]struct {
		prepare func(s *stage)
		spec    func(s *stage, members string) string
	}{
		"upstream etcd 3.6": {spec: func(s *stage, m string) string { return s.release("3.6") + m }},
		"upstream etcd 3.5": {spec: func(s *stage, m string) string { return s.release("3.5") + m }},
		"an address that is a name": {spec: func(_ *stage, m string) string {
			return line.ReplaceAllString(m, "member \"etcd$1\" {\n address = \"etcd$1\"\n connection { host = \"@$1\" }\n}")
		}},
		"IPv6": {prepare: func(s *stage) {
			for i, h := range s.Hosts() {
				s.shell(h, fmt.Sprintf("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 2>/dev/null || true; ip -6 address add fd00::%d/64 dev host0 nodad", i+1))
			}
			s.check(s.Command(s.Context(), "ip", "-6", "address", "add", "fd00::ff/64", "dev", "br0", "nodad").Run())
		}, spec: func(_ *stage, m string) string {
			return line.ReplaceAllString(m, "member \"etcd$1\" {\n address = \"fd00::$1\"\n connection { host = \"@$1\" }\n}")
		}},
		"data at a mount point": {prepare: func(s *stage) { s.disks(1<<30, "/srv/etcd") }, spec: func(_ *stage, m string) string {
			return "server { data_dir = \"/srv/etcd\" }\n" + m
		}},
		"another cluster on the same hosts": {prepare: func(s *stage) {
			var events strings.Builder
			for _, h := range s.Hosts()[:3] {
				fmt.Fprintf(&events, "member %q {\n address = %q\n client_port = 3379\n peer_port = 3380\n}\n", h.Name(), h.Addr())
			}
			s.write("events.hcl", "cluster \"events\" {\n"+events.String()+"}\n")
			s.must("apply", "-y", "--cluster", "events")
		}, spec: func(_ *stage, m string) string { return m }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, lab.Options{Hosts: 4})
			if c.prepare != nil {
				c.prepare(s)
			}
			only := []string{"--cluster", "lab"}
			apply := func(m string, names []string, options ...string) {
				t.Helper()
				s.want(c.spec(s, m))
				s.must(slices.Concat([]string{"apply", "-y"}, only, options)...)
				if got := s.listed(only...); !slices.Equal(got, names) {
					t.Fatalf("the members are %q, want %q", got, names)
				}
				s.settled(only...)
			}
			apply(members(1, 2, 3), []string{"etcd1", "etcd2", "etcd3"})
			s.must("ctl", "--cluster", "lab", "--", "put", "/kept", "yes")
			stays := s.watch(s.Host(0), s.Host(1))
			apply(members(1, 2, 3, 4), []string{"etcd1", "etcd2", "etcd3", "etcd4"})
			apply(members(1, 2, 4), []string{"etcd1", "etcd2", "etcd4"}, "--remove", "etcd3")
			s.undisturbed(stays)
			if got := s.must("ctl", "--cluster", "lab", "--", "get", "/kept", "--print-value-only").stdout; got != "yes\n" {
				t.Errorf("get printed %q", got)
			}
		})
	}
}

// release is a server block for upstream etcd, built from test/upstream.
func (s *stage) release(minor string) string {
	s.Helper()
	path, version, _ := servertest.Upstream(s, minor, workshop)
	return fmt.Sprintf("server {\n etcd {\n version = %q\n source %q {\n url = %q\n sha256 = %q\n }\n }\n}\n", version, runtime.GOARCH, path, s.digestOf(path))
}

// A learner is waited for as long as something reaches it: a database that takes longer over its link than it may
// stand still is there in the end, while clients go on writing. The link is one of tc's token buckets. It does not
// matter whether the learner is killed, or its host loses its power, while it receives.
func TestLearnerIsWaitedForByProgress(t *testing.T) {
	t.Parallel()
	soak(t)
	const large = `server {
 quota_backend_bytes = "8GiB"
 extra_options = { snapshot-catchup-entries = 500 } # else every member has 5,000 values of a megabyte in memory
}
`
	for name, c := range map[string]struct {
		server  string
		size    int // MB of values
		link    string
		atLeast time.Duration // what the link makes of it
		during  func(s *stage, learner *lab.Host)
	}{
		"150 MB":                     {size: 150, link: "8mbit", atLeast: 90 * time.Second},
		"4 GB":                       {server: large, size: 4096, link: "100mbit", atLeast: 5 * time.Minute},
		"killed while it receives":   {size: 150, link: "8mbit", during: func(s *stage, h *lab.Host) { s.on(h, "systemctl", "kill", "--signal=KILL", unit) }},
		"no power while it receives": {size: 150, link: "8mbit", during: func(s *stage, h *lab.Host) { s.check(h.PowerCut(s.Context())) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, lab.Options{Hosts: 4})
			s.want(c.server + members(1, 2, 3))
			s.must("apply", "-y")
			etcd := s.client()
			value := make([]byte, 1<<20)
			for i := range c.size {
				_, _ = rand.Read(value) // never fails
				_, err := etcd.Put(s.Context(), fmt.Sprintf("/big/%04d", i), string(value))
				s.check(err)
			}
			s.want(c.server + members(1, 2, 3, 4))
			stays := s.watch(s.Host(0), s.Host(1), s.Host(2))
			learner := s.Host(3)
			bound := func() {
				s.check(s.Command(s.Context(), "tc", "qdisc", "replace", "dev", "h14.0", "root", "tbf", "rate", c.link, "burst", "64kb", "latency", "400ms").Run())
			}
			bound()
			var loads []*load
			for range 8 {
				loads = append(loads, s.startLoad(etcd, time.Minute))
			}
			began := time.Now()
			cmd, out, errs := s.prepared(s.Context(), "apply", "-y")
			s.check(cmd.Start())
			if c.during != nil {
				s.shell(learner, "for i in $(seq 600); do [ -z \"$(find /var/lib/quorate/lab/member/snap -name 'tmp*' -size +20M 2>/dev/null)\" ] || exit 0; sleep 0.2; done; exit 1")
				c.during(s, learner)
				if !learner.Running() {
					s.check(learner.Boot(s.Context()))
					bound() // the link is a new one
				}
			}
			err := cmd.Wait()
			t.Logf("after %.0fs: %v\n%s%s", time.Since(began).Seconds(), err, out, errs)
			if c.during == nil {
				s.check(err)
			} else if err != nil {
				cmd, out, errs := s.prepared(s.Context(), "apply", "-y") // longer than other runs
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v\n%s%s", err, out, errs)
				}
			}
			took := time.Since(began)
			s.check(s.Command(s.Context(), "tc", "qdisc", "del", "dev", "h14.0", "root").Run())
			n := 0
			for _, l := range loads {
				close(l.stop)
				<-l.done
				s.check(l.err)
				n += len(l.acknowledged)
			}
			s.are("etcd1", "etcd2", "etcd3", "etcd4")
			s.undisturbed(stays)
			t.Logf("%d MB over %s, %d writes a second: joined after %.0fs", c.size, c.link, int(float64(n)/took.Seconds()), took.Seconds())
			if took < c.atLeast {
				t.Errorf("the link was no bound: it took %s", took)
			}
		})
	}
}
