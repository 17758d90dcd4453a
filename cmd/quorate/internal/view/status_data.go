package view

import (
	"fmt"
	"maps"
	"slices"

	"quorate/plan"
)

// DataStatus is the comparison of the members' data at one revision.
type DataStatus struct {
	// Revision that every member was asked for, 0 if nobody could be asked.
	Revision int64 `json:"revision"`
	// Same is same, differ, compacted-apart (they had compacted up to different revisions, so their hashes say
	// nothing of each other) or unasked (those that answered hold the same, and not every member answered).
	Same plan.Sameness `json:"same"`
	// Minority differ from more than half of the voters; empty also where no more than half agree.
	Minority []string     `json:"minority,omitempty"`
	Members  []DataMember `json:"members"`
}

// DataMember is what one member said of its data.
type DataMember struct {
	Name string `json:"name"` // or its id, where the spec does not have it
	// Hash as `etcdctl endpoint hashkv` prints it; nil if it gave none, and Problem says why.
	Hash            *uint32 `json:"hash"`
	CompactRevision *int64  `json:"compact_revision"`
	Problem         string  `json:"problem,omitempty"`
}

// Compare puts what the members said of their data into the status.
func (s *Status) Compare(h plan.Hashes) {
	d := &DataStatus{Revision: h.Revision, Members: []DataMember{}}
	d.Same, d.Minority = h.Compare()
	for _, name := range slices.Sorted(maps.Keys(h.Answers)) {
		a := h.Answers[name]
		m := DataMember{Name: name, Problem: a.Problem}
		if a.Hash != nil {
			m.Hash, m.CompactRevision = &a.Hash.Hash, &a.Hash.CompactRevision
		}
		d.Members = append(d.Members, m)
	}
	s.Data = d
	if d.Same == plan.Differ {
		s.Healthy = false
	}
}

// verdict is the comparison in a sentence, with what to do.
func (d *DataStatus) verdict() (text, color string) {
	at := fmt.Sprintf("at revision %d", d.Revision)
	switch {
	case d.Revision == 0:
		return "no member could be asked for its data", yellow
	case d.Same == plan.Same:
		return "all members hold the same data " + at, green
	case d.Same == plan.Unasked:
		return "those that answered hold the same data " + at + "; not every member did", yellow
	case d.Same == plan.CompactedApart:
		return "the members had compacted up to different revisions, so their data " + at + " could not be compared: run it again", yellow
	case len(d.Minority) == 0:
		return "the members' data differ " + at + ", and no more than half of the voters hold the same: nobody can say which is right. " +
			"Take a backup of each before anything else", red
	}
	return fmt.Sprintf("the data of %s differ from what more than half of the voters hold %s: what is read there may be wrong. Take a backup of one of the others, and replace what differs",
		List(d.Minority), at), red
}

// data draws the comparison.
func (p *paper) data(d *DataStatus) {
	text, color := d.verdict()
	p.line("")
	p.wrapped("", text, color)
	var rows [][]string
	for _, m := range d.Members {
		row := []string{m.Name, "-", "-", m.Problem}
		if m.Hash != nil {
			row = []string{m.Name, fmt.Sprint(*m.Hash), fmt.Sprint(*m.CompactRevision), "-"}
		}
		if slices.Contains(d.Minority, m.Name) {
			row[3] = "differs"
		}
		rows = append(rows, row)
	}
	p.columns("  ", []string{"MEMBER", "HASH", "COMPACTED AT", "NOTE"}, rows)
}
