package stories

import (
	"slices"
	"strings"
	"testing"

	"quorate/plan"
	"quorate/test/lab"
)

// Each kind of drift: the plan shows exactly that, apply mends it, and only
// what runs with something wrong is restarted.
func TestDriftIsShownAndMended(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("")
	s.must("apply", "-y")
	s.settled()

	const etc = "/etc/quorate/lab/"
	drifts := []struct {
		name      string
		host      int
		do        string
		steps     []string
		shows     []string // words of the plan's text
		restarted []string
	}{
		{"a unit edited", 0, "echo '# by hand' >>/etc/systemd/system/" + unit,
			[]string{"files etcd1"}, []string{"# by hand"}, nil},
		{"a unit edited and reloaded", 0, "echo '# by hand' >>/etc/systemd/system/" + unit + "; systemctl daemon-reload",
			[]string{"files etcd1"}, []string{"# by hand"}, nil},
		{"a configuration edited", 1, "echo '# by hand' >>" + etc + "etcd.yaml",
			[]string{"files etcd2"}, []string{"# by hand"}, nil},
		{"a configuration edited and in use", 1, "echo '# by hand' >>" + etc + "etcd.yaml; systemctl restart " + unit,
			[]string{"files etcd2", "restart etcd2"}, []string{"# by hand"}, []string{"etcd2"}},
		{"a binary replaced", 2, "cp /opt/quorate/lab/kvserver /root/k; printf x >>/root/k; mv /root/k /opt/quorate/lab/kvserver",
			[]string{"push etcd3"}, []string{"/opt/quorate/lab/kvserver"}, nil},
		{"a member stopped", 2, "systemctl stop " + unit,
			[]string{"start"}, []string{"etcd3"}, []string{"etcd3"}},
		{"a member not started at boot", 0, "systemctl disable --quiet " + unit,
			[]string{"files etcd1"}, []string{"boot"}, nil},
		{"a certificate deleted", 1, "rm " + etc + "pki/server.pem", // nobody can ask it then: it is waited for, not restarted
			[]string{"certificates etcd2", "start etcd2"}, []string{"server.pem"}, nil},
		{"a key made readable", 1, "chmod 644 " + etc + "pki/server-key.pem",
			[]string{"certificates etcd2"}, []string{"0644 instead of 0600"}, nil},
	}
	for _, d := range drifts {
		h := s.Host(d.host)
		s.shell(h, d.do)
		before := s.pids(unit)

		p := s.plan(pending)
		if got := kinds(p, d.steps); !slices.Equal(got, d.steps) {
			t.Errorf("%s: the plan's steps are %q, want %q", d.name, steps(p), d.steps)
		}
		for _, step := range p.Steps {
			if step.Member != "" && step.Member != h.Name() {
				t.Errorf("%s: a step on another host: %s", d.name, step.ID)
			}
		}
		text := s.quorate("plan").stdout
		for _, w := range d.shows {
			if !strings.Contains(text, w) {
				t.Errorf("%s: the plan does not show %q:\n%s", d.name, w, text)
			}
		}

		s.must("apply", "-y")
		if got := restarted(before, s.pids(unit)); !slices.Equal(got, d.restarted) && len(got)+len(d.restarted) > 0 {
			t.Errorf("%s: restarted %q, want %q", d.name, got, d.restarted)
		}
		s.settled()
	}
}

// kinds are the steps of a plan, with those named by their kind alone in want cut to it.
func kinds(p *plan.Plan, want []string) []string {
	got := steps(p)
	for i, id := range got {
		if kind, _, ok := strings.Cut(id, " "); ok && slices.Contains(want, kind) {
			got[i] = kind
		}
	}
	return got
}

// A plan is saved, the world moves, and the plan is refused with what moved.
func TestSavedPlanIsRefusedWhenTheWorldMoved(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("")
	s.must("plan", "-o", "lab.plan")
	s.must("apply", "-y", "lab.plan")
	s.settled()

	s.on(s.Host(0), "systemctl", "stop", unit)
	s.must("plan", "-o", "start.plan")
	s.on(s.Host(1), "sh", "-c", "echo '# by hand' >>/etc/quorate/lab/etcd.yaml")
	before := s.pids(unit)
	s.refused(held, []string{"etcd2", "nothing was touched"}, "apply", "-y", "start.plan")
	if got := restarted(before, s.pids(unit)); len(got) > 0 {
		t.Errorf("a plan that was refused started %q", got)
	}
	s.must("apply", "-y")
	s.settled()
}
