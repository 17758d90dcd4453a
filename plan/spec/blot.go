package spec

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// names are those of the attributes whose literals are secrets.
type names struct {
	anywhere map[string]bool // password = "…"
	locals   map[string]bool // locals { x = "…" } that a secret refers to
	vars     map[string]bool // variable "x" { default = "…" } and x = "…" in variable files
}

// secretNames finds them in the schema, and in parsed files: the variables declared
// sensitive, and the locals and variables that secrets are made of.
func secretNames(bodies []hcl.Body) names {
	s := names{anywhere: secretAttributes(), locals: map[string]bool{}, vars: map[string]bool{}}
	localExprs := map[string][]hcl.Expression{}
	var found []hcl.Expression
	for _, body := range bodies {
		b := body.(*hclsyntax.Body)
		for _, blk := range b.Blocks {
			switch {
			case blk.Type == "variable" && len(blk.Labels) == 1:
				if a := blk.Body.Attributes["sensitive"]; a != nil {
					if v, diags := a.Expr.Value(nil); diags.HasErrors() || !v.RawEquals(cty.False) {
						s.vars[blk.Labels[0]] = true
					}
				}
			case blk.Type == "locals":
				for name, a := range blk.Body.Attributes {
					localExprs[name] = append(localExprs[name], a.Expr)
				}
			}
		}
		found = append(found, secretExprs(b, s.anywhere)...)
	}
	for len(found) > 0 { // what secrets refer to is secret, and so on
		e := found[0]
		found = found[1:]
		for _, t := range e.Variables() {
			name, ok := second(t)
			switch {
			case !ok:
			case t.RootName() == "var":
				s.vars[name] = true
			case t.RootName() == "local" && !s.locals[name]:
				s.locals[name] = true
				found = append(found, localExprs[name]...)
			}
		}
	}
	return s
}

// secretExprs are the expressions of all attributes of those names in b.
func secretExprs(b *hclsyntax.Body, anywhere map[string]bool) []hcl.Expression {
	var found []hcl.Expression
	for name, a := range b.Attributes {
		if anywhere[name] {
			found = append(found, a.Expr)
		}
	}
	for _, c := range b.Blocks {
		found = append(found, secretExprs(c.Body, anywhere)...)
	}
	return found
}

// blot returns f's bytes with every literal of a secret attribute replaced by
// asterisks, so that positions stay. It goes by tokens, since it must also work
// where the file does not parse.
func blot(f File, secret names) []byte {
	b := &blotter{secret: secret, out: append([]byte(nil), f.Bytes...)}
	tokens, _ := hclsyntax.LexConfig(f.Bytes, f.Name, hcl.InitialPos)
	for _, t := range tokens {
		b.token(t)
	}
	return b.out
}

type blotter struct {
	secret names
	out    []byte
	// blocks are the types of the blocks around, "variable NAME" for variables.
	blocks []string
	// words are those of the header or attribute at hand.
	words []string
	// depth counts the brackets that are open inside the value at hand.
	depth int
	// hiding: from depth since on, literals are secret, except inside the
	// parentheses at depth plain (those of env and file).
	hiding       bool
	since, plain int
	last         hclsyntax.TokenType
}

func (b *blotter) token(t hclsyntax.Token) {
	switch t.Type {
	case hclsyntax.TokenNewline, hclsyntax.TokenComma:
		if b.hiding && b.depth <= b.since {
			b.hiding = false
		}
		if b.depth == 0 {
			b.words = nil
		}
	case hclsyntax.TokenIdent:
		b.words = append(b.words, string(t.Bytes))
	case hclsyntax.TokenEqual, hclsyntax.TokenColon:
		if len(b.words) > 0 && !b.hiding && (b.last == hclsyntax.TokenIdent || b.last == hclsyntax.TokenCQuote) && b.isSecret(b.words[len(b.words)-1]) {
			b.hiding, b.since, b.plain = true, b.depth, 0
		}
		b.words = append(b.words, "=")
	case hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenNumberLit, hclsyntax.TokenBadUTF8, hclsyntax.TokenInvalid:
		if b.hiding && b.plain == 0 {
			b.hide(t.Range)
		} else {
			b.words = append(b.words, string(t.Bytes))
		}
	case hclsyntax.TokenOBrace:
		if b.depth == 0 && len(b.words) > 0 && b.words[len(b.words)-1] != "=" {
			b.open()
		} else {
			b.depth++
		}
	case hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
		b.depth++
		if t.Type == hclsyntax.TokenOParen && b.last == hclsyntax.TokenIdent && b.plain == 0 {
			if w := b.words[len(b.words)-1]; w == "env" || w == "file" {
				b.plain = b.depth
			}
		}
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
		b.close(t.Type)
	}
	b.last = t.Type
}

func (b *blotter) open() {
	name := b.words[0]
	if name == "variable" && len(b.words) > 1 {
		name += " " + b.words[1]
	}
	b.blocks, b.words, b.hiding = append(b.blocks, name), nil, false
}

func (b *blotter) close(t hclsyntax.TokenType) {
	switch {
	case b.depth > 0:
		if b.depth == b.plain {
			b.plain = 0
		}
		if b.depth--; b.depth < b.since {
			b.hiding = false
		}
	case len(b.blocks) > 0 && t == hclsyntax.TokenCBrace:
		b.blocks, b.words, b.hiding = b.blocks[:len(b.blocks)-1], nil, false
	}
}

// isSecret reports whether what follows "name =" here is a secret.
func (b *blotter) isSecret(name string) bool {
	if b.secret.anywhere[name] {
		return true
	}
	if len(b.blocks) == 0 {
		return b.secret.vars[name] // a variable file
	}
	in := b.blocks[len(b.blocks)-1]
	if in == "locals" {
		return b.depth == 0 && b.secret.locals[name]
	}
	variable, ok := strings.CutPrefix(in, "variable ")
	return ok && name == "default" && b.secret.vars[variable]
}

func (b *blotter) hide(r hcl.Range) {
	for i := r.Start.Byte; i < r.End.Byte; i++ {
		if c := b.out[i]; c != '\n' && c != '\r' {
			b.out[i] = '*'
		}
	}
}
