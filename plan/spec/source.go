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

// parse reads f, whose file is nil if it was refused: see checkSource.
func parse(f File) (*hcl.File, hcl.Diagnostics) {
	if d := checkSource(f); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	return hclsyntax.ParseConfig(f.Bytes, f.Name, hcl.InitialPos)
}

// checkSource says why f is more than the parser and the evaluation could bear; nil if it is not.
func checkSource(f File) *hcl.Diagnostic {
	if len(f.Bytes) > maxFileSize {
		return complaint(start(f), "File too large", fmt.Sprintf("%s has %d bytes; at most %d are read.", f.Name, len(f.Bytes), maxFileSize),
			"Split it into several files of one folder, or generate members with a dynamic block.")
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
				return complaint(t.Range, "Number out of range", "No number of a spec is that large or that small.", "Write it without an exponent.")
			}
		}
		if len(open) > maxNesting || operators > maxOperators {
			return complaint(t.Range, "Expression too deep", fmt.Sprintf("Blocks and expressions may be nested at most %d deep, and one expression have at most %d operators.", maxNesting, maxOperators),
				"Move parts of it into locals.")
		}
	}
	return nil
}

// start is the beginning of f.
func start(f File) hcl.Range {
	return hcl.Range{Filename: f.Name, Start: hcl.InitialPos, End: hcl.InitialPos}
}
