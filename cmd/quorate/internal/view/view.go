// Package view draws what commands have to say: for people as text, for
// machines as JSON. It is told everything it shows; it looks at nothing, asks
// nothing and decides nothing. Secrets never reach it.
package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"quorate/provision/redact"
)

// Options say how to draw.
type Options struct {
	// Color with ANSI escapes.
	Color bool
	// Width of the terminal in columns; 0 does not wrap.
	Width int
	// Now is the time that expiry dates are measured against.
	Now time.Time
	// Diff says which file contents a plan shows.
	Diff Diff
	// CAEnds is when the CA at hand expires, zero if there is none yet: no
	// certificate outlives it.
	CAEnds time.Time
	// Text takes secrets out of a text that came from outside, and makes all of it visible; nil does the second.
	Text func(string) string
}

// text is what may be shown of s.
func (o Options) text(s string) string {
	if o.Text == nil {
		return redact.Visible(s)
	}
	return o.Text(s)
}

// Diff says which file contents a plan shows.
type Diff string

// The choices.
const (
	DiffChanged Diff = "changed" // of files that are there already
	DiffAll     Diff = "all"     // and of new ones
	DiffNone    Diff = "none"
)

// ANSI colours.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// paper is where text goes; the first error of the writer sticks.
type paper struct {
	w   io.Writer
	o   Options
	err error
}

// line prints a line. Texts among args are shown as [Options.Text] says, unless they are painted.
func (p *paper) line(format string, args ...any) {
	if p.err == nil {
		for i, a := range args {
			switch a := a.(type) {
			case painted:
			case string:
				args[i] = p.o.text(a)
			case fmt.Stringer:
				args[i] = p.o.text(a.String())
			}
		}
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// painted is text that is fit to be shown as it is.
type painted string

// paint puts text into a colour.
func (p *paper) paint(color, text string) painted {
	text = p.o.text(text)
	if !p.o.Color || color == "" || text == "" {
		return painted(text)
	}
	return painted("\x1b[" + color + "m" + text + "\x1b[0m")
}

// wrapped prints text after a prefix, broken at spaces to the width; the
// following lines are indented as far as the prefix reaches.
func (p *paper) wrapped(prefix painted, text, color string) {
	text = p.o.text(text)
	indent := painted(strings.Repeat(" ", columnsOf(string(prefix))))
	for i, part := range strings.Split(text, "\n") {
		for j, l := range wrap(part, p.o.Width-len(indent)) {
			if i+j > 0 {
				prefix = indent
			}
			p.line("%s%s", prefix, p.paint(color, l))
		}
	}
}

// columnsOf counts what is seen of text: runes, without colours.
func columnsOf(text string) int {
	n, escape := 0, false
	for _, r := range text {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n++
		}
	}
	return n
}

// wrap breaks text at spaces into lines of at most width columns; a word that
// is longer stands alone. Width below 10 does not wrap.
func wrap(text string, width int) []string {
	if width < 10 || len([]rune(text)) <= width {
		return []string{text}
	}
	var out []string
	var line string
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) <= width:
			line += " " + word
		default:
			out = append(out, line)
			line = word
		}
	}
	return append(out, line)
}

// columns prints rows in aligned columns. The last column is wrapped to what
// is left of the width.
func (p *paper) columns(indent string, header []string, rows [][]string) {
	for i := range rows {
		rows[i] = slices.Clone(rows[i])
		for j := range rows[i] {
			rows[i][j] = p.o.text(rows[i][j])
		}
	}
	width := make([]int, len(header))
	for _, r := range append([][]string{header}, rows...) {
		for i, cell := range r {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	print := func(cells []string, color string) {
		text := painted(indent)
		for i, cell := range cells[:len(cells)-1] {
			text += p.paint(color, cell) + painted(strings.Repeat(" ", width[i]-len([]rune(cell))+2))
		}
		p.wrapped(text, cells[len(cells)-1], color)
	}
	print(header, dim)
	for _, r := range rows {
		print(r, "")
	}
}

// Seconds prints a time span as people read it.
func Seconds(s float64) string {
	switch {
	case s < 0.0995:
		return fmt.Sprintf("%d ms", int(s*1000+0.5))
	case s < 99.95:
		return fmt.Sprintf("%.1f s", s)
	}
	return (time.Duration(s) * time.Second).String()
}

// day prints a date; left how far away it is.
func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

func left(now, t time.Time) string {
	d := t.Sub(now)
	switch {
	case d <= 0:
		return "expired"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d/time.Hour))
	}
	if days := int(d / (24 * time.Hour)); days < 2*365 {
		return fmt.Sprintf("%d days", days)
	}
	return fmt.Sprintf("%.1f years", d.Hours()/24/365.25)
}
