package provision_test

import (
	"strings"
	"testing"

	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

const (
	backupTimer  = "quorate-lab.backup.timer"
	backupFolder = "/etc/systemd/system/"
)

// withBackups is a spec whose hosts take backups by themselves.
func withBackups(hcl string) string {
	return strings.Replace(hcl, "client ", "backup {}\n  client ", 1)
}

// timers sees that every host has its timer, which waits and is started at boot; or that none has anything of it.
func timers(t *testing.T, r *rig, want bool) {
	t.Helper()
	for _, m := range r.world.Machines() {
		u := m.Unit(backupTimer)
		if got := u.Loaded && u.Enabled && u.Active == "active"; got != want || !want && (u.Enabled || u.Active == "active") {
			t.Errorf("%s: the timer is %+v", m.Name(), u)
		}
		for _, p := range []string{backupFolder + backupTimer, backupFolder + "quorate-lab.backup.service", "/etc/quorate/lab/backup.json"} {
			if _, err := m.ReadFile(p); (err == nil) != want {
				t.Errorf("%s: %s: %v", m.Name(), p, err)
			}
		}
	}
}

// Timers come with the block, are put back, and go with it; no member is restarted for any of that.
func TestTimersOfBackups(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	pids := func() (out [3]int) {
		for i, m := range r.world.Machines() {
			out[i] = m.Unit(labUnit).PID
		}
		return out
	}
	before := pids()
	timers(t, r, false)
	r.respec(withBackups(threeMembers))
	must(t, r.apply())
	timers(t, r, true)
	r.settled(t)

	etcd2 := r.world.Machine("etcd2")
	for what, drift := range map[string]func(*hosttest.Machine){
		"edited":  func(m *hosttest.Machine) { m.WriteFile(backupFolder+backupTimer, []byte("[Timer]\n"), 0o644) },
		"removed": func(m *hosttest.Machine) { m.RemoveAll("/etc/quorate/lab/backup.json") },
		"stopped": func(m *hosttest.Machine) { m.Exit(backupTimer) },
		"opened": func(m *hosttest.Machine) {
			must(t, m.Place(host.File{Path: "/var/backups/quorate/lab", Dir: true, Mode: 0o755, Owner: "root:root"}))
		},
	} {
		drift(etcd2)
		if p, err := r.plan(); err != nil || len(p.Steps) != 2 || p.Steps[0].ID != "files etcd2" || p.Steps[1].ID != "record etcd2" {
			t.Errorf("%s: %+v %v", what, p, err)
		}
		must(t, r.apply())
		timers(t, r, true)
		r.settled(t)
	}
	r.respec(strings.Replace(withBackups(threeMembers), "backup {}", `backup {
    interval = "0s"
    keep     = 9
  }`, 1))
	must(t, r.apply())
	timers(t, r, false)
	r.settled(t)
	if after := pids(); after != before {
		t.Errorf("members were restarted: %v, then %v", before, after)
	}
}

// What timers cost: one call a host more on the way to a new cluster, nothing afterwards.
func TestTimersCost(t *testing.T) {
	t.Parallel()
	calls := func(hcl string) (fresh, again int) {
		r := newRig(t, hcl)
		must(t, r.apply())
		fresh = len(r.world.Calls())
		r.world.ResetCalls()
		if _, err := r.plan(); err != nil {
			t.Fatal(err)
		}
		return fresh, len(r.world.Calls())
	}
	fresh, again := calls(threeMembers)
	with, withAgain := calls(withBackups(threeMembers))
	if with != fresh+3 || withAgain != again {
		t.Errorf("with timers on three hosts: %d calls, and %d for a plan; without: %d and %d", with, withAgain, fresh, again)
	}
}
