package stories

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/plan"
	"quorate/test/lab"
)

// everywhere are the client endpoints of the members before and after they move, at these ports, and at the second address.
func (s *stage) everywhere(ports ...string) []string {
	s.Helper()
	var out []string
	for _, p := range ports {
		for _, h := range s.Hosts() {
			out = append(out, "https://"+net.JoinHostPort(h.Addr(), p))
		}
		out = append(out, "https://"+net.JoinHostPort(second, p))
	}
	return out
}

// moved applies what moves members, and then what leaves their former names out of the certificates; nothing is left after that.
func (s *stage) moved(want map[plan.Kind]int, again bool) {
	s.Helper()
	p := s.plan(pending)
	kinds := map[plan.Kind]int{}
	for _, step := range p.Steps {
		kinds[step.Kind]++
		if step.Action.Exclusive() && !step.Quorum.During.Writable() {
			s.Errorf("step %q stops writes: %+v", step.ID, step.Quorum)
		}
	}
	for kind, n := range want {
		if kinds[kind] != n {
			s.Errorf("want %d steps %q, got %q", n, kind, steps(p))
		}
	}
	s.Log(s.must("plan").stdout)
	began := time.Now()
	s.must("apply", "-y")
	s.Logf("applied in %.1f s", time.Since(began).Seconds())
	if again {
		before := s.pids(unit)
		p := s.plan(pending)
		if slices.ContainsFunc(p.Steps, func(st plan.Step) bool { return st.Action.Exclusive() }) {
			s.Errorf("after the move: %q", steps(p))
		}
		s.must("apply", "-y")
		if got := restarted(before, s.pids(unit)); len(got) > 0 {
			s.Errorf("restarted for certificates: %q", got)
		}
	}
	s.settled()
}

// Peer ports and client ports of all members, the address of one and the name of another change under a writer: one voter at
// a time, nothing acknowledged is lost, and the members keep their ids.
func TestAddressesChange(t *testing.T) {
	t.Parallel()
	t.Run("kvserver", func(t *testing.T) {
		t.Parallel()
		addressesChange(t, "")
	})
	for _, version := range []string{"v3.5", "v3.6"} {
		t.Run("upstream etcd "+version, func(t *testing.T) {
			t.Parallel()
			soak(t)
			addressesChange(t, version)
		})
	}
}

// addressesChange is the story with a release of etcd's own, or with kvserver.
func addressesChange(t *testing.T, version string) {
	s := open(t, lab.Options{})
	release := ""
	if version != "" {
		release = s.release(version)
	}
	spec := func(name, third, more string) {
		var b strings.Builder
		fmt.Fprintf(&b, "cluster \"lab\" {\n client \"app\" {}\n%s", release)
		for i, h := range s.Hosts() {
			called, address := h.Name(), h.Addr()
			if i == 1 {
				called = name
			}
			if i == 2 {
				address = third
			}
			fmt.Fprintf(&b, " member %q {\n address = %q\n connection { host = %q }\n%s }\n", called, address, h.Addr(), more)
		}
		s.write("main.hcl", b.String()+"}\n")
	}
	s.on(s.Host(2), "ip", "address", "add", second+"/24", "dev", "host0")
	third := s.Host(2).Addr()
	spec("etcd2", third, "")
	s.must("apply", "-y")
	var ids []string
	for line := range strings.Lines(s.ids()) {
		id, _, _ := strings.Cut(line, ",")
		ids = append(ids, id)
	}
	c := s.consumer(s.everywhere("2379", "2479"))
	l := s.startLoad(c, time.Minute)

	spec("etcd2", third, " peer_port = 2480\n")
	s.moved(map[plan.Kind]int{plan.KindUpdate: 3, plan.KindRestart: 0}, false)
	spec("etcd2", third, " peer_port = 2480\n client_port = 2479\n")
	s.moved(map[plan.Kind]int{plan.KindUpdate: 0, plan.KindRestart: 3}, false)
	spec("etcd2", second, " peer_port = 2480\n client_port = 2479\n")
	s.moved(map[plan.Kind]int{plan.KindUpdate: 1, plan.KindRestart: 0, plan.KindCertificate: 1}, true)
	spec("second", second, " peer_port = 2480\n client_port = 2479\n")
	s.moved(map[plan.Kind]int{plan.KindUpdate: 0, plan.KindRestart: 1, plan.KindCertificate: 1}, true)
	s.end(l, c)

	list := s.ids()
	for _, id := range ids {
		if !strings.Contains(list, id) {
			t.Errorf("member %s is not there any more\n%s", id, list)
		}
	}
	for _, want := range []string{"second, https://", "https://" + second + ":2480, https://" + second + ":2479"} {
		if !strings.Contains(list, want) {
			t.Errorf("want %q\n%s", want, list)
		}
	}

	// All peer ports at once while nobody serves: held, and nobody is started.
	for _, h := range s.Hosts() {
		s.on(h, "systemctl", "stop", unit)
	}
	spec("second", second, " peer_port = 2380\n client_port = 2479\n")
	s.refused(held, []string{"addresses-moved", "their data is all there"}, "apply", "-y")
	for name, pid := range s.pids(unit) {
		if pid != "0" {
			t.Errorf("%s was started", name)
		}
	}
}
