package spec

import (
	"bytes"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format lays src out canonically (indentation, alignment of = and comments,
// no blanks at line ends, one line break at the end). Its meaning and comments
// stay. Formatting twice is formatting once. Source that does not parse comes
// back as it is; Load says what is wrong with it.
func Format(src []byte) []byte {
	if !parses(src) {
		return src
	}
	out := src
	// hclwrite can need a second look at what it has moved; it settles at once
	// in practice, and where it does not, the source is left alone.
	for range 5 {
		next := append(bytes.TrimRight(hclwrite.Format(out), " \t\r\n"), '\n')
		if bytes.Equal(bytes.TrimSpace(next), nil) {
			next = nil
		}
		if bytes.Equal(next, out) {
			return out
		}
		if !parses(next) {
			return src
		}
		out = next
	}
	return src
}

func parses(src []byte) bool {
	_, diags := parse(File{Name: "fmt", Bytes: src})
	return !diags.HasErrors()
}
