package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize/english"

	"quorate/plan"
)

// Plan draws a plan for people: what was found, each step with its reasons
// and file diffs, the certificates, the voters through the steps, what is
// held and why, and a summary.
func Plan(w io.Writer, p *plan.Plan, o Options) error {
	d := &paper{w: w, o: o}
	if p.Empty() && len(p.Held) == 0 {
		d.nothing(p)
		d.notes(p)
		return d.err
	}
	d.line("%s: %s", d.paint(bold, "cluster "+p.Cluster), found(p))
	if !p.Empty() {
		d.line("")
		digits := len(fmt.Sprint(len(p.Steps)))
		for i, s := range p.Steps {
			d.step(fmt.Sprintf("%*d", digits+2, i+1), s)
		}
		d.certificates(p)
		d.voters(p)
		d.interrupts(p)
	}
	d.held(p)
	d.notes(p)
	d.line("")
	d.wrapped("", summary(p), bold)
	return d.err
}

func (d *paper) nothing(p *plan.Plan) {
	text := "no changes: cluster " + p.Cluster + " is as the spec says"
	switch p.Verb {
	case plan.Destroy:
		text = "nothing to destroy: there is no trace of cluster " + p.Cluster
	case plan.Defrag:
		text = "nothing to defragment in cluster " + p.Cluster
	case plan.Compact:
		text = "nothing to compact in cluster " + p.Cluster
	case plan.AlarmDisarm:
		text = "nothing to disarm: no alarm stands in cluster " + p.Cluster
	case plan.Restore:
		text = "no restore of cluster " + p.Cluster + " is unfinished"
	}
	d.line("%s", d.paint(green, text))
}

// found says in what situation the cluster was found.
func found(p *plan.Plan) string {
	switch p.Situation {
	case plan.Absent:
		return "nothing is there yet"
	case plan.Forming:
		return "a bootstrap was begun and not finished"
	case plan.Stopped:
		if p.Verb == plan.Destroy {
			return "no member answers"
		}
		return "all of it is stopped"
	case plan.Running:
		return p.Before.String()
	}
	return "too little could be seen"
}

func (d *paper) step(number string, s plan.Step) {
	about := s.Action.Describe()
	color := map[plan.Sign]string{plan.New: green, plan.Changed: yellow, plan.Gone: red}
	d.line("%s %s %s", number, d.paint(color[about.Sign], string(about.Sign)), d.paint(bold, s.Title))
	indent := painted(strings.Repeat(" ", len(number)+3))
	for _, r := range s.Reasons {
		if !strings.HasSuffix(s.Title, r) {
			d.wrapped(indent, r, dim)
		}
	}
	for _, g := range together(about.Items) {
		tint := dim
		if g.Sign == plan.Gone {
			tint = red
		}
		d.wrapped(indent, g.String(), tint)
	}
	for _, i := range about.Items {
		d.diff(indent, i)
	}
	if s.Quorum.Touches() {
		d.line("%s%s", indent, d.paint(cyan, "voters: "+through(s.Quorum)))
	}
}

// diff shows what happens to one file. What is new is only shown whole when all is asked for.
func (d *paper) diff(indent painted, i plan.Item) {
	if i.Diff == "" || d.o.Diff == DiffNone || i.Sign == plan.New && d.o.Diff != DiffAll {
		return
	}
	d.unified(indent, i.Diff)
}

// unified draws a unified diff.
func (d *paper) unified(indent painted, diff string) {
	for l := range strings.Lines(diff) {
		l = strings.TrimSuffix(l, "\n")
		color := ""
		switch {
		case strings.HasPrefix(l, "+++"), strings.HasPrefix(l, "---"):
			color = bold
		case strings.HasPrefix(l, "@@"):
			color = cyan
		case strings.HasPrefix(l, "+"):
			color = green
		case strings.HasPrefix(l, "-"):
			color = red
		}
		d.line("%s  %s", indent, d.paint(color, l))
	}
}

// held says what the plan refuses, why and what to do.
func (d *paper) held(p *plan.Plan) {
	if len(p.Held) == 0 {
		return
	}
	d.line("")
	d.line("Held, for now:")
	for _, h := range p.Held {
		d.line("  %s", d.paint(yellow, "! "+h.Subject+": "+string(h.Reason)))
		d.wrapped("      ", h.Detail, "")
		if h.Voters.Total > 0 {
			d.line("      voters: %s", h.Voters)
		}
		d.wrapped("      ", "→ "+h.WayOut, cyan)
	}
}

func (d *paper) notes(p *plan.Plan) {
	if len(p.Notes) == 0 {
		return
	}
	d.line("")
	for _, n := range p.Notes {
		d.wrapped("Note: ", n, "")
	}
}

// interrupts warns of steps during which writes stop.
func (d *paper) interrupts(p *plan.Plan) {
	steps := p.Interrupts()
	if len(steps) == 0 {
		return
	}
	d.line("")
	what := "writes stop for a while during: "
	if p.Verb == plan.Destroy {
		what = "writes stop, for good, with: "
	}
	for _, s := range steps {
		d.wrapped(d.paint(yellow, "Warning:")+" ", what+s.Title, "")
	}
}

// summary is the last line of a plan.
func summary(p *plan.Plan) string {
	if p.Empty() {
		text := fmt.Sprintf("%s held; nothing else to do", english.Plural(len(p.Held), "change is", "changes are"))
		if p.Blocked() {
			text = fmt.Sprintf("nothing will be touched: %s to be resolved first", english.Plural(len(p.Held), "matter has", "matters have"))
		}
		return text
	}
	hosts := map[string]bool{}
	for _, s := range p.Steps {
		if s.Member != "" {
			hosts[s.Member] = true
		}
	}
	text := english.Plural(len(p.Steps), "step", "steps")
	if len(hosts) > 0 {
		text += " on " + english.Plural(len(hosts), "host", "hosts")
	}
	text += "; voters now: " + p.Before.String()
	if p.Situation == plan.Absent {
		text = strings.Replace(text, p.Before.String(), "no cluster", 1)
	}
	if p.Verb == plan.Destroy {
		text += "; afterwards the cluster is gone"
	} else {
		if worst, ok := lowest(p); ok {
			text += "; at the worst moment: " + worst.String()
		}
		text += "; afterwards: " + p.After.String()
	}
	if len(p.Held) > 0 {
		text += fmt.Sprintf("; %d held", len(p.Held))
	}
	return text
}

// lowest is the fewest voters that a step which takes some away leaves; false if none does.
func lowest(p *plan.Plan) (worst plan.Voters, ok bool) {
	for _, s := range p.Steps {
		e := s.Quorum
		if e.During.Healthy < e.Before.Healthy && (!ok || e.During.Healthy < worst.Healthy) {
			worst, ok = e.During, true
		}
	}
	return worst, ok
}
