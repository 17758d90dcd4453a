package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
)

// StatusText draws a status for people: one line to read first, then tables
// with etcdctl's columns.
func StatusText(w io.Writer, s Status, o Options) error {
	d := &paper{w: w, o: o}
	color := green
	if !s.Healthy {
		color = red
	}
	d.line("%s", d.paint(color, s.headline()))
	for _, p := range slices.Concat(s.Problems, s.Warnings) {
		d.wrapped("  ", p, yellow)
	}
	for _, m := range s.Members {
		if problem := cmp.Or(m.HostProblem, m.Problem); problem != "" {
			d.wrapped(d.paint("", "  "+m.Name+": "), problem, yellow)
		}
	}
	d.line("")
	d.table([]string{"Member", "Health", "Unit", "At boot", "ID", "Status", "Peer addrs", "Client addrs", "Is learner"}, members(s))
	if rows := endpoints(s); len(rows) > 0 {
		d.line("")
		d.table([]string{"Endpoint", "ID", "Version", "DB size", "In use", "Is leader", "Is learner", "Raft term", "Raft index", "Raft applied index", "Errors"}, rows)
	}
	if s.Data != nil {
		d.data(s.Data)
	}
	d.line("")
	d.table([]string{"Certificate of", "Profile", "Expires", "Left", "State"}, expiries(s, o.Now))
	d.backups(s.Backups)
	d.kept(s)
	return d.err
}

// kept lists the data that was moved aside, if there is any.
func (d *paper) kept(s Status) {
	var rows [][]string
	for _, m := range s.Members {
		for _, path := range m.Aside {
			rows = append(rows, []string{m.Name, path})
		}
	}
	if len(rows) > 0 {
		d.line("")
		d.line("data that was moved aside and is kept; quorate never deletes it:")
		d.columns("  ", []string{"ON THE HOST OF", "FOLDER"}, rows)
	}
}

func members(s Status) [][]string {
	var rows [][]string
	for _, m := range s.Members {
		health, id, status, learner := "unhealthy", "", "", ""
		if m.Healthy {
			health = "healthy"
		}
		switch {
		case m.Listed == nil:
			status = "unknown"
		case !*m.Listed:
			status = "not a member"
		case m.Status == nil:
			status = "listed"
		default:
			status = "started"
		}
		if m.Status != nil {
			id, learner = hex(m.Status.MemberID), strconv.FormatBool(m.Status.Learner)
		}
		boot := "no"
		if m.Enabled {
			boot = "yes"
		}
		switch {
		case m.HostProblem != "":
			boot = "unknown"
		case m.Manager == "supervise":
			boot = "-" // processes of this login; nothing starts them at boot
		}
		rows = append(rows, []string{m.Name, health, m.Unit, boot, id, status, strings.Join(m.PeerURLs, ","), m.Endpoint, learner})
	}
	for _, m := range s.Unexpected {
		status := "not in the spec"
		if m.Name == "" {
			status = "unstarted, not in the spec"
		}
		rows = append(rows, []string{m.Name, "unknown", "unknown", "unknown", hex(m.ID), status, strings.Join(m.PeerURLs, ","), strings.Join(m.ClientURLs, ","), strconv.FormatBool(m.Learner)})
	}
	return rows
}

func endpoints(s Status) [][]string {
	var rows [][]string
	for _, m := range s.Members {
		st := m.Status
		if st == nil {
			continue
		}
		rows = append(rows, []string{
			m.Endpoint, hex(st.MemberID), st.Version, humanize.IBytes(uint64(st.DBSize)), humanize.IBytes(uint64(st.DBSizeInUse)), strconv.FormatBool(m.Leader), strconv.FormatBool(st.Learner),
			fmt.Sprint(st.RaftTerm), fmt.Sprint(st.RaftIndex), fmt.Sprint(st.RaftAppliedIndex), strings.Join(slices.Concat(st.Alarms, st.Errors), ", "),
		})
	}
	return rows
}

func expiries(s Status, now time.Time) [][]string {
	var all []Expiry
	if s.CA != nil {
		all = append(all, *s.CA)
	}
	for _, m := range s.Members {
		all = append(all, m.Certificates...)
	}
	var rows [][]string
	for _, e := range append(all, s.Clients...) {
		if e.NotAfter.IsZero() {
			rows = append(rows, []string{e.Holder, e.Profile, "-", "-", e.State})
			continue
		}
		rows = append(rows, []string{e.Holder, e.Profile, day(e.NotAfter), left(now, e.NotAfter), e.State})
	}
	return rows
}

// hex is an id as etcdctl prints it.
func hex(id uint64) string { return strconv.FormatUint(id, 16) }

// table draws rows the way etcdctl's -w table does.
func (d *paper) table(header []string, rows [][]string) {
	if d.err != nil {
		return
	}
	t := tablewriter.NewTable(d.w, tablewriter.WithConfig(tablewriter.NewConfigBuilder().WithRowAlignment(tw.AlignRight).Build()))
	t.Header(header)
	for _, r := range rows {
		for i := range r {
			r[i] = d.o.text(r[i])
		}
	}
	if d.err = t.Bulk(rows); d.err == nil {
		d.err = t.Render()
	}
}
