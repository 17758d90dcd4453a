package view

import (
	"fmt"
	"io"

	"github.com/dustin/go-humanize"

	"quorate/plan"
)

// RecoveryText shows what a cluster can be recovered from, the one that is taken marked.
func RecoveryText(w io.Writer, cluster string, s *plan.RecoverySources, chosen *plan.RecoverySource, o Options) error {
	d := &paper{w: w, o: o}
	d.line("%s", d.paint(bold, "cluster "+cluster+": what is left of it"))
	var rows [][]string
	for i := range s.All {
		r := &s.All[i]
		mark := " "
		if r == chosen {
			mark = "*"
		}
		rows = append(rows, []string{mark, r.Name(), ends(r), number(r.Revision), taken(r, o), is(r)})
	}
	d.columns("  ", []string{" ", "SOURCE", "ENDS AT", "REVISION", "TAKEN", "IS"}, rows)
	for i := range s.All {
		r := &s.All[i]
		switch {
		case r.Refused != "":
			d.wrapped("  ", r.Name()+" is not offered: "+r.Refused, yellow)
		case r.Lacks != "":
			d.wrapped("  ", r.Name()+" lacks "+r.Lacks, "")
		}
		for _, n := range r.Notes {
			d.wrapped("  ", r.Name()+": "+n, yellow)
		}
	}
	if chosen != nil {
		d.line("")
		d.wrapped("", "Recovering from "+chosen.Name()+". "+s.Lost(chosen), bold)
	}
	d.line("")
	return d.err
}

func ends(r *plan.RecoverySource) string {
	if r.Index == 0 {
		return "-"
	}
	return fmt.Sprintf("index %d, term %d", r.Index, r.Term)
}

func number(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func taken(r *plan.RecoverySource, o Options) string {
	if r.At == nil {
		return "-"
	}
	return humanize.RelTime(*r.At, o.Now, "ago", "from now")
}

func is(r *plan.RecoverySource) string {
	switch {
	case r.Refused != "":
		return "not offered"
	case r.Backup != "":
		return "on " + r.Where
	case r.Running:
		return "running"
	}
	return "stopped"
}
