package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

// What hosts say, each in a line, and what the operator is told: backups are to be taken every 12 hours.
func TestJudgeBackups(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	proof := func(d time.Duration) *kvserver.BackupProof { return &kvserver.BackupProof{At: ago(d), Agreed: true} }
	host := func(name string, change func(*plan.BackupsSeen)) plan.BackupsSeen {
		s := plan.BackupsSeen{Member: name}
		if change != nil {
			change(&s)
		}
		return s
	}
	took := func(d time.Duration, p *kvserver.BackupProof) func(*plan.BackupsSeen) {
		return func(s *plan.BackupsSeen) {
			name := "lab-x-" + s.Member
			s.Newest = &kvserver.ListedBackup{Name: name, Size: 12 << 20, Backup: &kvserver.Backup{Name: name, At: ago(d), Proof: p}}
			s.State = &kvserver.BackupState{Success: &kvserver.BackupSuccess{At: ago(d)}}
		}
	}
	unasked := func(s *plan.BackupsSeen) { s.Problem = "no route to host" }
	for name, c := range map[string]struct {
		seen     []plan.BackupsSeen
		newest   string // its host
		proved   time.Duration
		late     bool
		warnings []string // what each says
	}{
		"all is well": {[]plan.BackupsSeen{host("etcd1", took(3*time.Hour, nil)), host("etcd2", took(4*time.Hour, proof(4*time.Hour))), host("etcd3", nil)}, "etcd1", 4 * time.Hour, false, nil},
		"a day and a minute old": {[]plan.BackupsSeen{host("etcd1", took(24*time.Hour+time.Minute, nil))}, "etcd1", 0, true,
			[]string{"the newest good backup is 24h1m0s old, and one is to be taken every 12h0m0s"}},
		"a day old":    {[]plan.BackupsSeen{host("etcd1", took(24*time.Hour, nil))}, "etcd1", 0, false, nil},
		"never":        {[]plan.BackupsSeen{host("etcd1", nil)}, "", 0, true, []string{"there is no good backup yet"}},
		"nobody knows": {[]plan.BackupsSeen{host("etcd1", unasked)}, "", 0, true, []string{"no good backup is known", "backups on etcd1 are not known: no route to host"}},
		"one fails": {[]plan.BackupsSeen{host("etcd1", took(time.Hour, nil)), host("etcd2", func(s *plan.BackupsSeen) {
			took(14*time.Hour, nil)(s)
			s.State.Failure = &kvserver.BackupFailure{At: ago(2 * time.Hour), Reason: "disk full"}
		})}, "etcd1", 0, false, []string{"the last backup on etcd2 failed at 2026-11-22 10:00: disk full"}},
		"it worked again": {[]plan.BackupsSeen{host("etcd1", func(s *plan.BackupsSeen) {
			took(time.Hour, nil)(s)
			s.State.Failure = &kvserver.BackupFailure{At: ago(2 * time.Hour), Reason: "disk full"}
			s.State.Proof = proof(50 * time.Hour)
		})}, "etcd1", 50 * time.Hour, false, nil},
		"the newest is damaged": {[]plan.BackupsSeen{host("etcd1", func(s *plan.BackupsSeen) {
			took(time.Hour, nil)(s)
			s.Newest.Problem = "its file has 1 byte"
		}), host("etcd2", took(2*time.Hour, nil))}, "etcd2", 0, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := &spec.Cluster{Backup: spec.Backup{Schedule: &spec.Schedule{Interval: 12 * time.Hour}}}
			h := plan.JudgeBackups(cluster, c.seen, now)
			newest := ""
			if h.Newest != nil {
				newest = h.Newest.Host
			}
			if newest != c.newest || h.Late != c.late || (h.ProvedAt != nil) != (c.proved > 0) || c.proved > 0 && !h.ProvedAt.Equal(ago(c.proved)) {
				t.Errorf("newest %q, late %v, proved %v", newest, h.Late, h.ProvedAt)
			}
			got := h.Warnings(now)
			if !slices.EqualFunc(got, c.warnings, strings.HasPrefix) {
				t.Errorf("warnings %q, want %q", got, c.warnings)
			}
		})
	}
	if h := plan.JudgeBackups(&spec.Cluster{}, []plan.BackupsSeen{host("etcd1", nil)}, now); h != nil {
		t.Errorf("without a schedule: %+v", h)
	}
}
