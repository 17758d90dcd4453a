package view

import (
	"fmt"
	"strings"

	"quorate/plan"
)

// touches reports whether a step changes the voters.
func touches(e plan.Effect) bool { return e.Before != e.During || e.During != e.After }

// through is the voters before, during and after a step.
func through(e plan.Effect) string {
	if e.Before == e.During {
		return fmt.Sprintf("%s → %s", e.Before, e.After)
	}
	return fmt.Sprintf("%s → during: %s → %s", e.Before, e.During, e.After)
}

// voters is the table of voters and tolerance before, during and after each
// step. Neighbours with the same effect that touch no voter share a row.
func (d *paper) voters(p *plan.Plan) {
	var rows [][]string
	for i := 0; i < len(p.Steps); i++ {
		e, first := p.Steps[i].Quorum, i
		for !touches(e) && i+1 < len(p.Steps) && p.Steps[i+1].Quorum == e {
			i++
		}
		steps := fmt.Sprint(first + 1)
		if i > first {
			steps = fmt.Sprintf("%d–%d", first+1, i+1)
		}
		before := e.Before.String()
		if p.Situation == plan.Absent && e.Before == p.Before && !touches(e) {
			before = plan.Voters{}.String() // the spec's members are not voters yet
			rows = append(rows, []string{steps, before, before, before})
			continue
		}
		rows = append(rows, []string{steps, before, e.During.String(), e.After.String()})
	}
	d.line("")
	d.line("Voters:")
	d.columns("  ", []string{"STEPS", "BEFORE", "DURING", "AFTER"}, rows)
}

// certificates is the table of everything that is issued.
func (d *paper) certificates(p *plan.Plan) {
	var rows [][]string
	add := func(holder string, c plan.Certificate) {
		ends := d.o.Now.Add(c.Request.Lifetime)
		if !d.o.CAEnds.IsZero() && ends.After(d.o.CAEnds) {
			ends = d.o.CAEnds
		}
		expires, had := "new → "+day(ends), ""
		names := strings.Join(c.Request.SANs, ", ")
		if c.Have != nil {
			expires = day(c.Have.NotAfter) + " → " + day(ends)
			had = strings.Join(c.Have.SANs, ", ")
		}
		if names == "" {
			names = "-"
		}
		if c.Have != nil && had != names && had != "" {
			names += " (was " + had + ")"
		}
		rows = append(rows, []string{holder, string(c.Request.Profile), expires, names})
	}
	for _, s := range p.Steps {
		switch a := s.Action.(type) {
		case *plan.CreateCA:
			rows = append(rows, []string{a.CommonName, "ca", "new → " + day(d.o.Now.Add(a.Lifetime)), "-"})
		case *plan.Certificates:
			for _, c := range a.Issue {
				add(s.Member, c)
			}
		case *plan.IssueClient:
			add(a.Name, a.Certificate)
		}
	}
	if len(rows) == 0 {
		return
	}
	d.line("")
	d.line("Certificates:")
	d.columns("  ", []string{"HOLDER", "PROFILE", "EXPIRES", "NAMES"}, rows)
}
