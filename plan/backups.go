package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"quorate/kvserver"
	"quorate/plan/spec"
)

// BackupsSeen is what one host says of the backups that it takes by itself. Problem says why nothing is known; "" where it was asked.
type BackupsSeen struct {
	Member string
	kvserver.BackupSummary
	Problem string
}

// BackupHealth is how the backups that hosts take by themselves are doing. It is also the JSON of `status`: names there do not change their
// meaning.
type BackupHealth struct {
	IntervalSeconds int64 `json:"interval_seconds"`
	// Newest is the newest good backup of all hosts that could be asked; nil: there is none.
	Newest *NewestBackup `json:"newest"`
	// ProvedAt is when one was last restored and served on any host, with the content that it should have; nil: never.
	ProvedAt *time.Time `json:"proved_at,omitempty"`
	// Late: the newest is older than twice the interval, or there is none.
	Late bool `json:"late"`
	// Failing are the hosts whose last try failed; Unasked those of which nothing is known.
	Failing []HostTrouble `json:"failing,omitempty"`
	Unasked []HostTrouble `json:"unasked,omitempty"`
}

// NewestBackup is a backup and the host that it is on.
type NewestBackup struct {
	Name string    `json:"name"`
	Host string    `json:"host"` // a member's name
	At   time.Time `json:"at"`
	Size int64     `json:"size"` // bytes of the file
}

// HostTrouble is what is wrong on one host.
type HostTrouble struct {
	Host string     `json:"host"`
	At   *time.Time `json:"at,omitempty"`
	Why  string     `json:"why"`
}

// JudgeBackups says how the backups are doing that hosts take by themselves; nil where none does.
func JudgeBackups(c *spec.Cluster, seen []BackupsSeen, now time.Time) *BackupHealth {
	if c.Backup.Schedule == nil || len(seen) == 0 {
		return nil
	}
	h := &BackupHealth{IntervalSeconds: int64(c.Backup.Schedule.Interval / time.Second)}
	proved := func(p *kvserver.BackupProof) {
		if p != nil && p.Agreed && (h.ProvedAt == nil || p.At.After(*h.ProvedAt)) {
			h.ProvedAt = &p.At
		}
	}
	for _, s := range seen {
		if s.Problem != "" {
			h.Unasked = append(h.Unasked, HostTrouble{Host: s.Member, Why: s.Problem})
			continue
		}
		if n := s.Newest; n != nil && n.Good() {
			if h.Newest == nil || n.Backup.At.After(h.Newest.At) {
				h.Newest = &NewestBackup{Name: n.Name, Host: s.Member, At: n.Backup.At, Size: n.Size}
			}
			proved(n.Backup.Proof)
		}
		if st := s.State; st != nil {
			proved(st.Proof)
			if st.Failing() {
				h.Failing = append(h.Failing, HostTrouble{Host: s.Member, At: &st.Failure.At, Why: st.Failure.Reason})
			}
		}
	}
	h.Late = h.Newest == nil || now.Sub(h.Newest.At) > 2*c.Backup.Schedule.Interval
	byHost := func(a, b HostTrouble) int { return cmp.Compare(a.Host, b.Host) }
	slices.SortFunc(h.Failing, byHost)
	slices.SortFunc(h.Unasked, byHost)
	return h
}

// Warnings are what somebody has to look at, a sentence each.
func (h *BackupHealth) Warnings(now time.Time) (out []string) {
	switch every := time.Duration(h.IntervalSeconds) * time.Second; {
	case h.Newest == nil && len(h.Unasked) > 0:
		out = append(out, "no good backup is known")
	case h.Newest == nil:
		out = append(out, "there is no good backup yet: hosts take the first one within minutes of an apply (see `journalctl -u 'quorate-*.backup.service'` there), and `quorate backup` takes one now")
	case h.Late:
		out = append(out, fmt.Sprintf("the newest good backup is %s old, and one is to be taken every %s", now.Sub(h.Newest.At).Round(time.Minute), every))
	}
	for _, f := range h.Failing {
		out = append(out, fmt.Sprintf("the last backup on %s failed at %s: %s", f.Host, f.At.UTC().Format("2006-01-02 15:04"), f.Why))
	}
	for _, u := range h.Unasked {
		out = append(out, fmt.Sprintf("backups on %s are not known: %s", u.Host, u.Why))
	}
	return out
}
