package view

import (
	"io"
	"strings"

	"quorate/plan"
	"quorate/provision"
)

// Report draws what came of a run.
func Report(w io.Writer, r *provision.Report, o Options) error {
	d := &paper{w: w, o: o}
	d.line("")
	var failed []provision.StepReport
	for _, s := range r.Steps {
		if s.Result == provision.Failed {
			failed = append(failed, s)
		}
	}
	for _, s := range failed {
		d.line("%s", d.paint(red, "failed: "+s.Title))
		d.wrapped("  ", s.Error, "")
	}
	text := ""
	for _, c := range []struct {
		result provision.Result
		word   string
	}{
		{provision.Changed, "done"}, {provision.Unchanged, "as it was already"}, {provision.Failed, "failed"},
		{provision.Incomplete, "abandoned"}, {provision.Unreached, "not begun"},
	} {
		if n := r.Counts[c.result]; n > 0 {
			if text != "" {
				text += ", "
			}
			text += Plural(n, "step ", "steps ") + c.word
		}
	}
	if text == "" {
		text = "no steps"
	}
	d.line("cluster %s: %s, in %s", r.Cluster, text, Seconds(r.Seconds))
	if len(failed) > 0 && r.Journal != "" {
		d.line("the whole story is in %s", r.Journal)
	}
	if len(failed) > 0 {
		d.line("nothing is lost: mend the cause and apply again, it goes on from here")
	}
	return d.err
}

// StillHeld says after a run what the plan had refused.
func StillHeld(w io.Writer, p *plan.Plan, o Options) error {
	d := &paper{w: w, o: o}
	d.held(p)
	return d.err
}

// Moved explains why a saved plan is not applied.
func Moved(w io.Writer, cluster string, lines []string, o Options) error {
	d := &paper{w: w, o: o}
	d.line("The world has moved since the plan for cluster %s was made:", cluster)
	const most = 20
	for _, l := range lines[:min(len(lines), most)] {
		d.wrapped("  ", l, yellow)
	}
	if len(lines) > most {
		d.line("  and %d more", len(lines)-most)
	}
	return d.err
}

// Reach tells how to get to a cluster that serves.
func Reach(w io.Writer, cluster string, endpoints []string, hint string, o Options) error {
	d := &paper{w: w, o: o}
	d.line("%s serves at %s", d.paint(green, "cluster "+cluster), List(endpoints))
	d.line("  look at it:  quorate status%s", hint)
	d.line("  talk to it:  quorate ctl%s -- put hello world", hint)
	return d.err
}

// List joins names.
func List(names []string) string { return strings.Join(names, ", ") }
