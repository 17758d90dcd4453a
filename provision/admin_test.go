package provision_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/kvserver/admintest"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/templates"
)

// What these tests take for members behaves as members do.

func TestModelOfMembers(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	s := r.session()
	defer s.Close()
	admintest.Suite(t, r.subject(s))
}

func TestModelOfMembership(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	one := r.cluster.Members[0]
	r.respec(fiveMembers)
	s := r.session()
	defer s.Close()
	r.etcd.interval = 300 * time.Millisecond
	by := func(name string) *spec.Member {
		return r.cluster.Members[slices.IndexFunc(r.cluster.Members, func(m *spec.Member) bool { return m.Name == name })]
	}
	url := func(name string) string { return "https://" + by(name).Address + ":2380" }
	c := admintest.Changing{
		Subject: r.subject(s), Spare: [2]string{"etcd4", "etcd5"}, HealthInterval: r.etcd.interval, Version: r.etcd.version, PeerURL: url,
		Join: func(name string, members ...string) {
			p := templates.BootstrapParams{Cluster: "lab", Name: name, Token: "another", Existing: true}
			for _, n := range members {
				p.Peers = append(p.Peers, templates.InitialPeer{Name: n, URLs: []string{url(n)}})
			}
			text, err := templates.Bootstrap(p)
			must(t, err)
			m := r.world.Machine(name)
			m.WriteFile(plan.LayoutOf(r.cluster, one).Bootstrap, text, 0o644)
			r.begin(name)
		},
		Wipe: func(name string) { r.world.Machine(name).RemoveAll(plan.LayoutOf(r.cluster, one).Data) },
		Runs: func(name string) bool { return r.world.Machine(name).Unit("quorate-lab.service").PID != 0 },
	}
	for _, name := range c.Spare { // files as an apply would have put them there
		from, to := r.world.Machine(one.Name), r.world.Machine(name)
		for _, dir := range []string{"/etc/quorate", "/opt/quorate", "/etc/systemd/system"} {
			for _, f := range from.Paths(dir) {
				if text, err := from.ReadFile(f); err == nil && f != plan.LayoutOf(r.cluster, one).Mark {
					to.WriteFile(f, []byte(strings.NewReplacer(one.Address, by(name).Address, "name: "+one.Name, "name: "+name).Replace(string(text))), 0o755)
				}
			}
		}
	}
	time.Sleep(c.HealthInterval) // all have been connected for long enough
	admintest.Membership(t, c)
	for v := range r.etcd.violations {
		if !strings.Contains(v, "which was removed") { // the suite starts what was removed
			t.Error(v)
		}
	}
}

// subject is what the suites ask of three members that serve.
func (r *rig) subject(s *provision.Session) admintest.Subject {
	a, err := s.Admin(r.t.Context())
	must(r.t, err)
	return admintest.Subject{
		Admin: a, Names: []string{"etcd1", "etcd2", "etcd3"}, Wait: 10 * time.Second,
		Stop:  func(name string) { r.world.Machine(name).Crash("quorate-lab.service") },
		Start: r.begin,
	}
}

// begin starts a machine's unit, and waits for nothing.
func (r *rig) begin(machine string) {
	_, err := r.world.Machine(machine).Host().Service(r.t.Context(), host.ServiceRequest{Unit: "quorate-lab.service", Verb: "start"})
	must(r.t, err)
}
