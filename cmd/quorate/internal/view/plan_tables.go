package view

import (
	"fmt"
	"strings"

	"quorate/plan"
)

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
		for !e.Touches() && i+1 < len(p.Steps) && p.Steps[i+1].Quorum == e {
			i++
		}
		steps := fmt.Sprint(first + 1)
		if i > first {
			steps = fmt.Sprintf("%d–%d", first+1, i+1)
		}
		before := e.Before.String()
		if p.Situation == plan.Absent && e.Before == p.Before && !e.Touches() {
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
	for _, s := range p.Steps {
		for _, c := range s.Action.Describe().Certificates {
			if c.Holder == "" {
				c.Holder = s.Member
			}
			rows = append(rows, d.issued(c))
		}
	}
	if len(rows) == 0 {
		return
	}
	d.line("")
	d.line("Certificates:")
	d.columns("  ", []string{"HOLDER", "PROFILE", "EXPIRES", "NAMES"}, rows)
}

// issued is the row of one certificate.
func (d *paper) issued(c plan.Issued) []string {
	ends := d.o.Now.Add(c.Lifetime)
	if !d.o.CAEnds.IsZero() && ends.After(d.o.CAEnds) {
		ends = d.o.CAEnds
	}
	expires, names := "new → "+day(ends), strings.Join(c.SANs, ", ")
	if names == "" {
		names = "-"
	}
	if c.Had != nil {
		expires = day(c.Had.NotAfter) + " → " + day(ends)
		if had := strings.Join(c.Had.SANs, ", "); had != names && had != "" {
			names += " (was " + had + ")"
		}
	}
	return []string{c.Holder, c.Profile, expires, names}
}
