package spec

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	// maxFileSize bounds one source file, in bytes. A spec of 300 hosts is
	// about 60 kB.
	maxFileSize = 1 << 20
	// maxNesting bounds how deep brackets, braces, parentheses and templates
	// are nested, and maxOperators how many operators follow one another in
	// one expression: hcl recurses over both, with up to 1.3 kB of stack for
	// each operator, and Go ends a process whose stack reaches 1 GB.
	maxNesting   = 200
	maxOperators = 1000
)

// checkSource refuses what the parser and the evaluation could not bear.
func (l *loader) checkSource(f File) bool {
	if len(f.Bytes) > maxFileSize {
		start := hcl.Range{Filename: f.Name, Start: hcl.InitialPos, End: hcl.InitialPos}
		l.fail(start, "File too large", fmt.Sprintf("%s has %d bytes; at most %d are read.", f.Name, len(f.Bytes), maxFileSize),
			"Split it into several files of one folder, or generate members with a dynamic block.")
		return false
	}
	tokens, _ := hclsyntax.LexConfig(f.Bytes, f.Name, hcl.InitialPos)
	var open []hclsyntax.TokenType
	operators := 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			open = append(open, t.Type)
			operators++ // a[0][0] is an operator after another
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		case hclsyntax.TokenComma:
			operators = 0
		case hclsyntax.TokenNewline:
			// Inside brackets an expression goes on in the next line.
			if len(open) == 0 || open[len(open)-1] == hclsyntax.TokenOBrace {
				operators = 0
			}
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent,
			hclsyntax.TokenQuestion, hclsyntax.TokenColon, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenDot,
			hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq:
			operators++
		case hclsyntax.TokenNumberLit:
			if _, exp, ok := strings.Cut(strings.ToLower(string(t.Bytes)), "e"); ok && len(strings.Trim(exp, "+-")) > 3 {
				l.fail(t.Range, "Number out of range", "No number of a spec is that large or that small.", "Write it without an exponent.")
				return false
			}
		}
		if len(open) > maxNesting || operators > maxOperators {
			l.fail(t.Range, "Expression too deep", fmt.Sprintf("Blocks and expressions may be nested at most %d deep, and one expression have at most %d operators.", maxNesting, maxOperators),
				"Move parts of it into locals.")
			return false
		}
	}
	return true
}
