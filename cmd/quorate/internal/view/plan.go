package view

import (
	"fmt"
	"io"
	"strings"

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
	if p.Verb == plan.Destroy {
		d.line("%s", d.paint(green, "nothing to destroy: there is no trace of cluster "+p.Cluster))
		return
	}
	d.line("%s", d.paint(green, "no changes: cluster "+p.Cluster+" is as the spec says"))
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

// sign tells what a step does to what is there: + new, ~ changed, - gone.
func sign(s plan.Step) string {
	switch a := s.Action.(type) {
	case *plan.Push:
		for _, b := range a.Binaries {
			if b.Had != "" {
				return "~"
			}
		}
	case *plan.Files:
		for _, f := range a.Files {
			if !f.Dir && (f.Diff == "" || !isNew(f.Diff)) {
				return "~"
			}
		}
		if len(a.Files) == 0 {
			return "~"
		}
	case *plan.Certificates:
		for _, c := range a.Issue {
			if c.Have != nil {
				return "~"
			}
		}
		if len(a.Issue) == 0 {
			return "~"
		}
	case *plan.IssueClient:
		if a.Certificate.Have != nil {
			return "~"
		}
	case *plan.Restart, *plan.Record:
		return "~"
	case *plan.Stop, *plan.Remove, *plan.Forget:
		return "-"
	}
	return "+"
}

func isNew(diff string) bool { return strings.HasPrefix(diff, "--- /dev/null") }

func (d *paper) step(number string, s plan.Step) {
	sg := sign(s)
	color := map[string]string{"+": green, "~": yellow, "-": red}[sg]
	d.line("%s %s %s", number, d.paint(color, sg), d.paint(bold, s.Title))
	indent := strings.Repeat(" ", len(number)+3)
	for _, r := range gather(s.Reasons) {
		if !strings.HasSuffix(s.Title, r) {
			d.wrapped(indent, r, dim)
		}
	}
	switch a := s.Action.(type) {
	case *plan.Push:
		for _, b := range a.Binaries {
			from := ""
			if b.Had != "" {
				from = short(b.Had) + " → "
			}
			d.line("%s%s", indent, d.paint(dim, fmt.Sprintf("%s: %s%s, %s", b.Name, from, short(b.Digest), Size(b.Size))))
		}
	case *plan.Files:
		for _, f := range a.Files {
			d.diff(indent, f)
		}
	case *plan.Remove:
		for _, m := range a.Move {
			d.line("%s%s", indent, "keep "+m.From+" as "+m.To)
		}
		for _, t := range a.Trees {
			d.line("%s%s", indent, d.paint(red, "remove "+t+" and all below it"))
		}
		for _, f := range a.Files {
			d.line("%s%s", indent, d.paint(dim, "remove "+f))
		}
	case *plan.Forget:
		for _, f := range a.Files {
			d.line("%s%s", indent, d.paint(red, "remove "+f))
		}
	}
	if touches(s.Quorum) {
		d.line("%s%s", indent, d.paint(cyan, "voters: "+through(s.Quorum)))
	}
}

// diff shows what happens to one file.
func (d *paper) diff(indent string, f plan.WriteFile) {
	switch {
	case f.Diff == "" || d.o.Diff == DiffNone:
		return
	case isNew(f.Diff) && d.o.Diff != DiffAll:
		return // its reason says that it is missing
	}
	for l := range strings.Lines(f.Diff) {
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
	var blocked bool
	for _, h := range p.Held {
		blocked = blocked || h.Blocks
	}
	if p.Empty() {
		text := fmt.Sprintf("%s held; nothing else to do", Plural(len(p.Held), "change is", "changes are"))
		if blocked {
			text = fmt.Sprintf("nothing will be touched: %s to be resolved first", Plural(len(p.Held), "matter has", "matters have"))
		}
		return text
	}
	hosts := map[string]bool{}
	for _, s := range p.Steps {
		if s.Member != "" {
			hosts[s.Member] = true
		}
	}
	text := Plural(len(p.Steps), "step", "steps")
	if len(hosts) > 0 {
		text += " on " + Plural(len(hosts), "host", "hosts")
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

func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12]
	}
	return digest
}
