package stories

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"quorate/plan"
	"quorate/test/lab"
)

const (
	backupService = "quorate-lab.backup.service"
	backupTimer   = "quorate-lab.backup.timer"
	backupDir     = "/var/backups/quorate/lab"
)

// Hosts take backups by themselves: the right ones do, another one where one of them is down, old ones go, what was taken is
// proved, and nothing of that restarts a member.
func TestBackupTimers(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{Hosts: 3})
	s.spec("")
	s.must("apply", "-y")
	s.must("ctl", "--", "put", "/name", "xin")
	first, second := s.byID()[0], s.byID()[1]
	s.must("backup", "--member", first.Name(), "--fetch=no")
	before := s.pids(unit)
	for _, h := range s.Hosts() {
		s.shell(h, "mkdir -p /srv/numbers; useradd --system exporter; chown exporter: /srv/numbers")
	}
	block := `backup {
    interval     = "1m"
    copies       = 1
    keep         = 2
    prove        = "always"
    textfile_dir = "/srv/numbers"
  }`
	s.spec(block)
	s.must("apply", "-y")
	s.settled()
	if got := restarted(before, s.pids(unit)); len(got) > 0 {
		t.Errorf("restarted %q for a timer", got)
	}
	for _, h := range s.Hosts() {
		if state := s.on(h, "systemctl", "is-active", backupTimer) + " " + s.on(h, "systemctl", "is-enabled", backupTimer); state != "active enabled" {
			t.Errorf("%s: the timer is %s", h.Name(), state)
		}
		score := s.shell(h, "systemd-analyze security --no-pager "+backupService+" | tail -n1")
		m := regexp.MustCompile(`: ([0-9.]+) `).FindStringSubmatch(score)
		if m == nil {
			t.Errorf("%s: no exposure level in %q", h.Name(), score)
		} else if level, _ := strconv.ParseFloat(m[1], 64); level > 2.0 {
			t.Errorf("%s: exposure level %.1f, want at most 2.0", h.Name(), level)
		}
	}

	// The one with the lowest id takes one, which is proved; the others leave it to that one.
	s.eventually("a first turn on every host", func() string {
		for _, h := range s.Hosts() {
			if s.taken(h) == 0 && !strings.Contains(s.saidOfBackups(h), "no backup is taken here") {
				return h.Name() + " had none"
			}
		}
		return ""
	})
	for _, h := range s.Hosts() {
		log := s.saidOfBackups(h)
		if left := strings.Contains(log, "no backup is taken here: it is left to "+first.Name()); left != (h != first) || strings.Contains(log, "taken: ") == left {
			t.Errorf("%s says\n%s", h.Name(), log)
		}
	}
	s.eventually("a proof in the numbers", func() string {
		got := s.shell(first, "cat /srv/numbers/quorate_backup_lab.prom || true")
		if !strings.Contains(got, "quorate_backup_last_proof_timestamp_seconds{cluster=\"lab\",member=\""+first.Name()+"\"} ") || strings.Contains(got, "failure") {
			return got
		}
		if h := s.scheduled(); h.Newest == nil || h.Newest.Host != first.Name() || h.Late || h.ProvedAt == nil || len(h.Failing)+len(h.Unasked) > 0 {
			return fmt.Sprintf("status has %+v", h)
		}
		return ""
	})

	if got := s.shell(first, "stat -c %a:%U "+backupDir+"; stat -c %a /srv/numbers/*.prom"); got != "700:root\n644" {
		t.Errorf("modes on %s:\n%s", first.Name(), got)
	}

	// That one's member is down: its own host says so, and the next one takes them, proved.
	s.hurry()
	s.on(first, "systemctl", "stop", unit)
	s.eventually("a backup by "+second.Name(), func() string {
		r := s.quorate("status", "--json")
		if h := s.backupsIn(r); h.Newest == nil || h.Newest.Host != second.Name() || len(h.Failing) != 1 || h.Failing[0].Host != first.Name() {
			return fmt.Sprintf("%+v", h)
		}
		return ""
	})
	s.must("backup", "verify", "latest", "--prove")
	if r := s.quorate("status"); !strings.Contains(r.stdout, "newest good backup: ") || !strings.Contains(r.stdout, "the last backup on "+first.Name()+" failed") {
		t.Errorf("%s", r)
	}

	// Once it serves it takes the next one, and of the three that it has, the one by hand among them, the oldest goes.
	s.on(first, "systemctl", "start", unit)
	s.healthy()
	s.eventually("another backup by "+first.Name(), func() string {
		if n, kept := s.taken(first), s.shell(first, "ls "+backupDir+"/*.json | wc -l"); n < 2 || kept != "2" {
			return fmt.Sprintf("%d were taken, %s are kept", n, kept)
		}
		return ""
	})
	if r := s.quorate("status"); strings.Contains(r.stdout, "the last backup on "+first.Name()+" failed") {
		t.Errorf("%s", r)
	}

	// A timer that somebody has stopped is put back; without the block all of it goes, and the backups stay.
	s.on(second, "systemctl", "disable", "--now", backupTimer)
	if got := steps(s.plan(pending)); len(got) != 1 || got[0] != "files "+second.Name() {
		t.Errorf("a stopped timer: %q", got)
	}
	s.must("apply", "-y")
	s.settled()
	s.spec("backup {\n interval = \"0s\"\n keep = 3\n}")
	s.must("apply", "-y")
	s.settled()
	for _, h := range s.Hosts() {
		if got := s.shell(h, "systemctl list-unit-files --no-legend 'quorate-*backup*' || true; ls /etc/quorate/lab/backup.json 2>/dev/null || true"); got != "" {
			t.Errorf("left on %s:\n%s", h.Name(), got)
		}
	}
	if got := s.shell(first, "ls "+backupDir+"/*.json | wc -l"); got == "0" {
		t.Error("the backups are gone")
	}
}

// saidOfBackups is what the service that takes backups has said on a host.
func (s *stage) saidOfBackups(h *lab.Host) string {
	s.Helper()
	return s.shell(h, "journalctl --sync; journalctl -u "+backupService+" -o cat")
}

// taken is how many backups it has taken there.
func (s *stage) taken(h *lab.Host) int {
	s.Helper()
	return strings.Count(s.saidOfBackups(h), "taken: lab-")
}

// hurry has the timers call every eleven seconds instead of once a minute, which is the shortest interval of a spec. More often they
// could not: the service may begin three times in half an interval. Who has taken a backup leaves out the calls that come within that.
func (s *stage) hurry() {
	s.Helper()
	for _, h := range s.Hosts() {
		if got := s.on(h, "systemctl", "show", "--property=TimersMonotonic", backupTimer); !strings.Contains(got, "OnUnitActiveUSec=1min ") {
			s.Errorf("%s: the timer has %s", h.Name(), got)
		}
		s.shell(h, "dir=/run/systemd/system/"+backupTimer+".d; mkdir -p $dir; printf '[Timer]\nOnUnitActiveSec=\nOnUnitActiveSec=11s\nRandomizedDelaySec=0\n' >$dir/often.conf; systemctl daemon-reload")
	}
}

// byID are the hosts in the order of their members' ids.
func (s *stage) byID() []*lab.Host {
	s.Helper()
	var list struct {
		Members []struct {
			ID   uint64
			Name string
		} `json:"members"`
	}
	r := s.must("ctl", "--", "member", "list", "-w", "json")
	s.check(json.Unmarshal([]byte(r.stdout), &list))
	var out []*lab.Host
	for range list.Members {
		best := -1
		for i, m := range list.Members {
			if m.Name != "" && (best < 0 || m.ID < list.Members[best].ID) {
				best = i
			}
		}
		for _, h := range s.Hosts() {
			if h.Name() == list.Members[best].Name {
				out = append(out, h)
			}
		}
		list.Members[best].Name = ""
	}
	return out
}

// eventually waits until nothing is missing any more; a timer may take a minute.
func (s *stage) eventually(what string, missing func() string) {
	s.Helper()
	said := ""
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Second) {
		if said = missing(); said == "" {
			return
		}
	}
	s.Fatalf("%s: %s", what, said)
}

// scheduled is what status says of the backups that hosts take by themselves.
func (s *stage) scheduled() plan.BackupHealth {
	s.Helper()
	return s.backupsIn(s.quorate("status", "--json"))
}

func (s *stage) backupsIn(r result) plan.BackupHealth {
	s.Helper()
	var status struct {
		Backups *plan.BackupHealth `json:"backups"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &status); err != nil || status.Backups == nil {
		s.Fatalf("status says nothing of backups: %v\n%s", err, r)
	}
	return *status.Backups
}
