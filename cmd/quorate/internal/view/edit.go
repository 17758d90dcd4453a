package view

import (
	"io"

	"quorate/plan"
	"quorate/plan/spec"
)

// SpecEdit is a change of a file of the spec, for people and as JSON.
type SpecEdit struct {
	File  string   `json:"file"`
	Diff  string   `json:"diff"` // unified
	Notes []string `json:"notes,omitempty"`
}

// EditOf puts an edit into words.
func EditOf(e *spec.Edit) SpecEdit {
	return SpecEdit{File: e.File, Diff: plan.Diff(e.File, string(e.Before), string(e.After)), Notes: e.Notes}
}

// EditText draws it.
func EditText(w io.Writer, e SpecEdit, o Options) error {
	d := &paper{w: w, o: o}
	d.unified("", e.Diff)
	for _, n := range e.Notes {
		d.wrapped("  ", n, yellow)
	}
	return d.err
}
