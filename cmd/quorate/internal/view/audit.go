package view

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"quorate/provision"
)

// Audit is what audit says of one cluster.
type Audit struct {
	Cluster string                `json:"cluster"`
	Runs    []*provision.KnownRun `json:"runs"` // the newest first
	// Older is how many runs before those are known.
	Older int `json:"older"`
	// Asked are the members whose hosts were asked, in the spec's order; Unseen those that could not be, with the reason.
	Asked  []string          `json:"asked,omitempty"`
	Unseen map[string]string `json:"unseen,omitempty"`
}

// AuditText draws the runs of a cluster for people, in a table that fits 80 columns.
func AuditText(w io.Writer, a Audit, o Options) error {
	d := &paper{w: w, o: o}
	d.line("%s", d.paint(bold, "cluster "+a.Cluster))
	if len(a.Runs) == 0 {
		d.line("no run is known")
	} else {
		var rows [][]string
		for _, r := range a.Runs {
			rows = append(rows, []string{r.ID, short(cmp.Or(r.By, "-")), cmp.Or(string(r.Verb), "-"), ended[r.Ending], steps(r), a.known(r)})
		}
		d.columns("", []string{"RUN", "BY", "VERB", "RESULT", "STEPS", "KNOWN TO"}, rows)
	}
	if a.Older > 0 {
		d.line("%s not shown: --limit 0 lists all", english.Plural(a.Older, "older run is", "older runs are"))
	}
	for _, name := range a.Asked {
		if problem := a.Unseen[name]; problem != "" {
			d.wrapped(d.paint("", name+" was not asked: "), problem, yellow)
		}
	}
	return d.err
}

// ended are the endings for people.
var ended = map[provision.Ending]string{
	provision.RunDone: "done", provision.RunFailed: "failed", provision.RunInterrupted: "interrupted", provision.RunCutOff: "cut off",
	provision.RunUnderWay: "under way", provision.RunUnreadable: "unreadable", provision.RunRecorded: "recorded", provision.RunPartly: "unfinished",
}

// short is a name that leaves room for the rest of a row; whole where it has the room.
func short(name string) string {
	const most = 14
	if r := []rune(name); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return name
}

// steps are how many of a run's steps were done; "-" where no journal says.
func steps(r *provision.KnownRun) string {
	if r.Here == nil || r.Here.Ending == provision.RunUnreadable {
		return "-"
	}
	return fmt.Sprintf("%d/%d", r.Here.Done(), r.Here.Steps)
}

// known says who knows of a run.
func (a Audit) known(r *provision.KnownRun) string {
	var by []string
	if r.Here != nil {
		by = append(by, "here")
	}
	if len(r.Hosts) == len(a.Asked) && len(r.Hosts) > 1 {
		return List(append(by, "all hosts"))
	}
	for _, h := range r.Hosts {
		by = append(by, h.Member)
	}
	return List(by)
}

// Run is what audit show says of one run.
type Run struct {
	Cluster string `json:"cluster"`
	*provision.KnownRun
	// Plan are the steps that its journal names; without one, none.
	Plan []*provision.PastStep `json:"steps,omitempty"`
}

// RunText draws one run for people: its steps, and for those that did not end well the calls on their hosts.
func RunText(w io.Writer, r Run, o Options) error {
	d := &paper{w: w, o: o}
	d.wrapped("", fmt.Sprintf("run %s of cluster %s: %s, began %s", r.ID, r.Cluster, who(r.KnownRun), d.when(r.KnownRun)), bold)
	if r.Here == nil {
		d.noted(r.KnownRun)
		return d.err
	}
	d.wrapped("", d.came(r.Here), "")
	if r.Here.Error != "" {
		d.wrapped("  ", r.Here.Error, red)
	}
	if n := r.Here.Unread; n > 0 {
		d.line("%s of its journal cannot be read", english.Plural(n, "line", "lines"))
	}
	if len(r.Plan) > 0 {
		d.line("")
		for i, s := range r.Plan {
			d.past(i+1, s)
		}
	}
	if left := r.Here.Counts[provision.Unreached]; left > 0 && (r.Ending == provision.RunCutOff || r.Ending == provision.RunUnderWay) {
		d.line("%s not begun; the journal does not name them", english.Plural(left, "more step was", "more steps were"))
	}
	d.line("")
	if len(r.Hosts) > 0 {
		d.noted(r.KnownRun)
	}
	d.line("journal: %s", r.Here.Journal)
	return d.err
}

// noted says what the hosts note of a run.
func (p *paper) noted(r *provision.KnownRun) {
	for _, h := range r.Hosts {
		var kinds []string
		for _, k := range h.Changed {
			kinds = append(kinds, string(k))
		}
		p.wrapped(p.paint("", h.Member+" notes it: "), "changed by steps of the kind "+cmp.Or(List(kinds), "-"), "")
	}
	if len(r.Missing) > 0 {
		p.wrapped("", "not noted by "+List(r.Missing)+", where it was to be: it did not finish there", yellow)
	}
	if r.Here == nil {
		p.wrapped("", "its journal is on the machine that it was run from"+at(r.By), dim)
	}
}

func at(by string) string {
	if _, machine, ok := strings.Cut(by, "@"); ok {
		return ": " + machine
	}
	return ""
}

// came is what came of a run that has a journal.
func (p *paper) came(r *provision.PastRun) string {
	text := fmt.Sprintf("%s: %s", ended[r.Ending], cmp.Or(counted(r.Counts), "no steps"))
	if r.Seconds > 0 {
		text += ", in " + Seconds(r.Seconds)
	}
	return text
}

// past draws one step of a run.
func (p *paper) past(number int, s *provision.PastStep) {
	color := map[provision.Result]string{provision.Failed: red, provision.Partly: red, provision.Incomplete: red, provision.CutOff: red, provision.Unreached: dim, provision.Unchanged: dim}[s.Result]
	took := "-"
	if !s.Began.IsZero() && s.Result != provision.CutOff && s.Result != provision.InFlight {
		took = Seconds(s.Seconds)
	}
	prefix := painted(fmt.Sprintf("%4d  ", number)) + p.paint(color, fmt.Sprintf("%-11s", resulted[s.Result])) + painted(fmt.Sprintf("  %7s  ", took))
	p.wrapped(prefix, s.Title, "")
	indent := painted(strings.Repeat(" ", 6))
	if s.Detail != "" {
		p.wrapped(indent, s.Detail, dim)
	}
	if s.Error != "" {
		p.wrapped(indent, s.Error, red)
	}
	if s.Result != provision.Failed && s.Result != provision.Partly && len(s.Calls) == 0 {
		return
	}
	switch {
	case len(s.Calls) == 0:
		p.line("%sno call on a host ended meanwhile", indent)
	case s.Earlier > 0:
		p.line("%sthe last calls on hosts meanwhile (%d before them):", indent, s.Earlier)
	default:
		p.line("%scalls on hosts meanwhile:", indent)
	}
	for _, c := range s.Calls {
		p.wrapped(painted(fmt.Sprintf("%s  %7s  ", indent, Seconds(c.Seconds)))+p.paint("", c.Member+"  "), c.Call, "")
		if c.Error != "" {
			p.wrapped(indent+painted(strings.Repeat(" ", 11)), c.Error, red)
		}
	}
}

// resulted are the results of steps for people.
var resulted = map[provision.Result]string{
	provision.Changed: "done", provision.Unchanged: "as it was", provision.Failed: "failed", provision.Partly: "in part", provision.Unreached: "not begun",
	provision.Incomplete: "abandoned", provision.CutOff: "cut off", provision.InFlight: "under way",
}

// Earlier says in a line what the latest run left, which did not end well: before the plan that goes on from there.
func Earlier(w io.Writer, r *provision.KnownRun, o Options) error {
	d := &paper{w: w, o: o}
	text := fmt.Sprintf("run %s (%s, %s) ", r.ID, who(r), d.ago(r))
	switch h := r.Here; {
	case h == nil:
		var on []string
		for _, n := range r.Hosts {
			on = append(on, n.Member)
		}
		text += "is finished on " + List(on) + " and not on " + List(r.Missing)
	case r.Ending == provision.RunUnderWay:
		text += fmt.Sprintf("is still under way, after %d of %s", h.Done(), english.Plural(h.Steps, "step", "steps"))
	case h.StoppedAt == "" && h.StoppedBefore == "" && h.Done() == h.Steps:
		text += fmt.Sprintf("did all its %s and then %s", english.Plural(h.Steps, "step", "steps"), ended[r.Ending])
		if first, _, _ := strings.Cut(h.Error, "\n"); first != "" {
			text += ": " + first
		}
	default:
		text += fmt.Sprintf("ended after %d of %s: %s", h.Done(), english.Plural(h.Steps, "step", "steps"), ended[r.Ending])
		if h.StoppedAt != "" {
			text += fmt.Sprintf(" at %q", h.StoppedAt)
		} else if h.StoppedBefore != "" {
			text += fmt.Sprintf(" before %q", h.StoppedBefore)
		}
	}
	d.wrapped("", text+"; this plan goes on from what the hosts are", yellow)
	return d.err
}

// who is the verb and who began it.
func who(r *provision.KnownRun) string {
	text := cmp.Or(string(r.Verb), "of an unknown verb")
	if r.By != "" {
		text += ", by " + r.By
	}
	return text
}

func (p *paper) ago(r *provision.KnownRun) string {
	if r.Began.IsZero() {
		return "at an unknown time"
	}
	return humanize.RelTime(r.Began, p.o.Now, "ago", "from now")
}

// when is the time that a run began, and how long ago that is.
func (p *paper) when(r *provision.KnownRun) string {
	if r.Began.IsZero() {
		return p.ago(r)
	}
	return r.Began.UTC().Format("2006-01-02 15:04:05 UTC") + ", " + p.ago(r)
}
