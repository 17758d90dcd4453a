package spec

import (
	"bytes"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// source is the text of a file with its tokens, comments among them. Pieces of
// it are exchanged where they stand: hclwrite, which adds blocks only at the
// end of a body, and knows no blank lines, lays nothing out but what is new.
type source struct {
	bytes  []byte
	tokens hclsyntax.Tokens
}

func newSource(name string, src []byte) source {
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	return source{src, tokens}
}

// splice puts text in the place of the bytes from start to end. Tokens are then of no use any more.
func (s *source) splice(start, end int, text string) {
	s.bytes = slices.Concat(s.bytes[:start], []byte(text), s.bytes[end:])
}

// tokenAt is the index of the first token that begins at an offset or after it.
func (s *source) tokenAt(offset int) int {
	return sort.Search(len(s.tokens), func(i int) bool { return s.tokens[i].Range.Start.Byte >= offset })
}

// endsLine reports whether a token ends its line: a comment that goes to the end of it holds the line break.
func endsLine(t hclsyntax.Token) bool {
	return t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenComment && bytes.HasSuffix(t.Bytes, []byte("\n"))
}

// begins reports whether the i-th token is the first of its line.
func (s *source) begins(i int) bool { return i == 0 || i <= len(s.tokens) && endsLine(s.tokens[i-1]) }

// blank reports whether the i-th token is all of a blank line.
func (s *source) blank(i int) bool {
	return i >= 0 && i < len(s.tokens) && s.tokens[i].Type == hclsyntax.TokenNewline && s.begins(i)
}

// lineStart is where the line of an offset begins.
func (s *source) lineStart(offset int) int { return bytes.LastIndexByte(s.bytes[:offset], '\n') + 1 }

// indent is the white space that the line of an offset begins with.
func (s *source) indent(offset int) string {
	line := s.bytes[s.lineStart(offset):]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// eol is how the lines of the text end.
func (s *source) eol() string {
	if i := bytes.IndexByte(s.bytes, '\n'); i > 0 && s.bytes[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// item is a block or an attribute on lines of its own: from the beginning of its
// first line to that of the line after it, comments on these lines included.
type item struct {
	start, end int // offsets
	// lead is where the comments begin that stand directly above; start if there are none.
	lead int
	// first and next are the indices of its first token and of the first one after it.
	first, next int
}

// item finds the lines of what lies at r.
func (s *source) item(r hcl.Range) item {
	i := s.tokenAt(r.Start.Byte)
	for i > 0 && s.tokens[i-1].Type == hclsyntax.TokenComment && !endsLine(s.tokens[i-1]) {
		i--
	}
	out := item{start: s.lineStart(s.tokens[i].Range.Start.Byte), end: len(s.bytes), first: i, next: len(s.tokens)}
	out.lead = out.start
	for j := s.tokenAt(r.End.Byte); j < len(s.tokens); j++ {
		if endsLine(s.tokens[j]) {
			out.end, out.next = s.tokens[j].Range.End.Byte, j+1
			break
		}
	}
	for j := i - 1; j >= 0; {
		switch t := s.tokens[j]; {
		case t.Type == hclsyntax.TokenComment && endsLine(t) && s.begins(j):
			out.lead, j = s.lineStart(t.Range.Start.Byte), j-1
		case t.Type == hclsyntax.TokenNewline && !s.begins(j) && s.tokens[j-1].Type == hclsyntax.TokenComment && s.begins(j-1):
			out.lead, j = s.lineStart(s.tokens[j-1].Range.Start.Byte), j-2
		default:
			return out
		}
	}
	return out
}

// cut takes lines out, and one of the blank lines that would then stand for nothing:
// two after another, or one at an end of the body.
func (s *source) cut(start, end int) {
	before, next := s.tokenAt(start)-1, s.tokenAt(end)
	after := hclsyntax.TokenEOF
	if next < len(s.tokens) {
		after = s.tokens[next].Type
	}
	opens := before > 0 && s.tokens[before].Type == hclsyntax.TokenNewline && s.tokens[before-1].Type == hclsyntax.TokenOBrace
	switch {
	case s.blank(next) && (s.blank(before) || opens):
		end = s.tokens[next].Range.End.Byte
	case after == hclsyntax.TokenCBrace && s.blank(before):
		start = s.lineStart(s.tokens[before].Range.Start.Byte)
	}
	s.splice(start, end, "")
}

// mentions reports whether a text has a word in it.
func mentions(text, word string) bool {
	part := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:", r)
	}
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return !part(r) }) {
		if strings.Trim(w, ".:") == word {
			return true
		}
	}
	return false
}
