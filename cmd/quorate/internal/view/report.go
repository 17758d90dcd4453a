package view

import (
	"cmp"
	"io"
	"strings"

	"github.com/dustin/go-humanize/english"

	"quorate/plan"
	"quorate/provision"
)

// Report draws what came of a run.
func Report(w io.Writer, r *provision.Report, o Options) error {
	d := &paper{w: w, o: o}
	d.line("")
	failed, partly := false, false
	for _, s := range r.Steps {
		switch s.Result {
		case provision.Failed:
			failed = true
			d.line("%s", d.paint(red, "failed: "+s.Title))
			d.wrapped("  ", s.Error, "")
		case provision.Partly:
			partly = true
			d.line("%s", d.paint(red, "done in part: "+s.Title))
			d.wrapped("  ", s.Error, "")
		}
	}
	d.line("cluster %s: %s, in %s", r.Cluster, cmp.Or(counted(r.Counts), "no steps"), Seconds(r.Seconds))
	if r.Problem != "" {
		d.wrapped("  ", r.Problem, red)
	}
	if (failed || partly) && r.Journal != "" {
		d.line("full log: %s", r.Journal)
	}
	if partly && !failed && r.Counts[provision.Unreached]+r.Counts[provision.Incomplete] == 0 {
		d.line("all else is done and stays so: what is named above is left to be done by hand")
	}
	if failed && r.Verb.Restores() {
		d.line("nothing is lost: fix the cause, then quorate restore --resume finishes it, and quorate restore --undo brings the old data back")
	} else if failed {
		again := "apply"
		if r.Verb != plan.Apply && r.Verb != "" {
			again = "run " + string(r.Verb)
		}
		d.line("nothing is lost: fix the cause and %s again; steps that are done are skipped", again)
	}
	return d.err
}

// counted is how many steps came to what.
func counted(counts map[provision.Result]int) string {
	var out []string
	for _, c := range []struct {
		result provision.Result
		word   string
	}{
		{provision.Changed, "done"}, {provision.Unchanged, "as it was already"}, {provision.Failed, "failed"}, {provision.Partly, "done in part"},
		{provision.Incomplete, "abandoned"}, {provision.CutOff, "cut off"}, {provision.InFlight, "under way"}, {provision.Unreached, "not begun"},
	} {
		if n := counts[c.result]; n > 0 {
			out = append(out, english.Plural(n, "step", "steps")+" "+c.word)
		}
	}
	return List(out)
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

// Reach tells how to get to a cluster that serves, as it was seen at the end of a run.
func Reach(w io.Writer, r *provision.Report, hint string, o Options) error {
	if r.Voters == nil || !r.Voters.Writable() {
		return nil
	}
	d := &paper{w: w, o: o}
	var at []string
	for _, m := range r.Members {
		if m.Healthy {
			at = append(at, "https://"+m.Endpoint)
		}
	}
	d.line("%s serves at %s (%s)", d.paint(green, "cluster "+r.Cluster), List(at), r.Voters)
	for _, m := range r.Members {
		if !m.Healthy {
			d.wrapped(d.paint("", "  "+m.Name+": "), "does not serve: "+m.Problem, yellow)
		}
	}
	d.consumers(r.Consumers)
	d.line("  look at it:  quorate status%s", hint)
	d.line("  talk to it:  quorate ctl%s -- put hello world", hint)
	return d.err
}

// consumers tells what those who use the cluster have to know.
func (d *paper) consumers(c *provision.ConsumersReport) {
	if c == nil {
		return
	}
	d.wrapped("  for its clients:  ", "--etcd-servers="+c.EtcdServers, "")
	for _, h := range c.HandOver {
		d.wrapped("  copy to who uses it:  ", List([]string{h.Certificate, h.Key, h.CA, h.Endpoints}), "")
	}
	for _, i := range c.Installed {
		text := "client " + i.Client + " in " + i.Dir
		if i.Detail != "" {
			text += ": " + i.Detail
		}
		d.wrapped(d.paint("", "  on "+i.Host+":  "), text, "")
	}
}

// List joins names.
func List(names []string) string { return strings.Join(names, ", ") }
