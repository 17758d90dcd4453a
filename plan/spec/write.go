package spec

import (
	"io"

	"github.com/hashicorp/hcl/v2"
)

// WriteDiagnostics prints diags for people: each with file, line, an excerpt of
// its source and the way out. files are those given to Load, variable files
// included; secrets written in them are blotted out. width wraps the text
// (0: not at all); color adds terminal colours.
func WriteDiagnostics(w io.Writer, diags hcl.Diagnostics, files []File, width int, color bool) error {
	sources := map[string]*hcl.File{}
	var bodies []hcl.Body
	for _, f := range files {
		if _, ok := sources[f.Name]; ok || len(f.Bytes) > maxFileSize {
			continue
		}
		// Parsing again gives the writer the block around a line; not for what
		// checkSource refused, which the parser could not bear.
		source, _ := parse(f)
		if source == nil {
			source = &hcl.File{}
		} else {
			bodies = append(bodies, source.Body)
		}
		sources[f.Name] = source
	}
	for _, f := range withoutSecrets(files, bodies) {
		if source := sources[f.Name]; source != nil {
			source.Bytes = f.Bytes
		}
	}
	return hcl.NewDiagnosticTextWriter(w, sources, uint(max(width, 0)), color).WriteDiagnostics(diags)
}

// Shown are the files of a spec that loads as they may be kept or shown: secrets that are written in them are blotted out.
func Shown(files []File) []File {
	var bodies []hcl.Body
	for _, f := range files {
		if source, _ := parse(f); source != nil {
			bodies = append(bodies, source.Body)
		}
	}
	return withoutSecrets(files, bodies)
}

// withoutSecrets blots out what the bodies, which are those of the files as far as they parse, say is secret.
func withoutSecrets(files []File, bodies []hcl.Body) []File {
	secret := secretNames(bodies)
	var out []File
	for _, f := range files {
		out = append(out, File{Name: f.Name, Bytes: blot(f, secret)})
	}
	return out
}

// Diagnostic is a diagnostic for machines.
type Diagnostic struct {
	// Severity is "error" or "warning".
	Severity string `json:"severity"`
	Summary  string `json:"summary"`
	// Detail says why, and after the last line break the way out.
	Detail string `json:"detail,omitempty"`
	Range  *Range `json:"range,omitempty"`
}

// Range is a piece of a source file.
type Range struct {
	Filename string   `json:"filename"`
	Start    Position `json:"start"`
	End      Position `json:"end"` // the first position after it
}

// Position counts lines and columns (of characters) from 1, bytes from 0.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// DiagnosticsJSON gives diags a form to marshal: never nil, so that no
// complaints are [] and not null.
func DiagnosticsJSON(diags hcl.Diagnostics) []Diagnostic {
	out := []Diagnostic{}
	for _, d := range diags {
		j := Diagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			j.Severity = "warning"
		}
		if s := d.Subject; s != nil {
			j.Range = &Range{Filename: s.Filename, Start: Position(s.Start), End: Position(s.End)}
		}
		out = append(out, j)
	}
	return out
}
