package view

import (
	"time"

	"github.com/dustin/go-humanize"

	"quorate/plan"
)

// Backup puts how backups are doing into the status; nil is nothing. What is wrong with them is a warning: it does not
// keep the cluster from serving.
func (s *Status) Backup(h *plan.BackupHealth, now time.Time) {
	if h != nil {
		s.Backups = h
		s.Warnings = append(s.Warnings, h.Warnings(now)...)
	}
}

// backups draws the newest good one.
func (p *paper) backups(h *plan.BackupHealth) {
	if h == nil || h.Newest == nil {
		return
	}
	n, color := h.Newest, ""
	if h.Late {
		color = yellow
	}
	ago := func(t time.Time) string { return humanize.RelTime(t, p.o.Now, "ago", "from now") }
	text := "newest good backup: " + ago(n.At) + " on " + n.Host + ", " + humanize.IBytes(uint64(max(n.Size, 0)))
	if h.ProvedAt == nil {
		text += ", none proved yet"
	} else {
		text += ", one was proved " + ago(*h.ProvedAt)
	}
	p.line("")
	p.wrapped("", text, color)
}
