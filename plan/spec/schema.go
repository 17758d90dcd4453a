package spec

import (
	"github.com/hashicorp/hcl/v2"
)

// kind is the type of an attribute as the manual names it.
type kind string

const (
	kindString   kind = "string"
	kindStrings  kind = "list of strings"
	kindNumber   kind = "number"
	kindBool     kind = "bool"
	kindDuration kind = "duration"
	kindSize     kind = "size"
	kindPorts    kind = "list of ports"
	kindSecret   kind = "secret string"
	kindOptions  kind = "map"
	// The kinds below occur only in variable and locals blocks.
	kindAny  kind = "any"
	kindType kind = "type"
)

// attribute is one attribute of a block: the single source for decoding, the
// starter spec, and (through a test) the manual.
type attribute struct {
	name string
	kind kind
	// def is the default as HCL source; "<cluster>" and "<member>" stand for
	// those names. Empty when unset says what happens instead, or required.
	def      string
	unset    string
	required bool
	oneOf    []string
	// min and max bound a number, inclusive; both 0 is unbounded.
	min, max int64
	// example is a right value as HCL source, for the way out of a diagnostic.
	example string
	doc     string
}

// sample is a right value as HCL source: the default where there is one.
func (a *attribute) sample() string {
	if a.example != "" {
		return a.example
	}
	return a.def
}

// block is one kind of block.
type block struct {
	name  string
	label string // what its label is; empty: it has none
	many  bool   // may be given more than once
	// free says that any attribute may be given (locals).
	free   bool
	attrs  []*attribute
	blocks []*block
	doc    string
}

func (b *block) attr(name string) *attribute {
	for _, a := range b.attrs {
		if a.name == name {
			return a
		}
	}
	return nil
}

func (b *block) child(name string) *block {
	for _, c := range b.blocks {
		if c.name == name {
			return c
		}
	}
	return nil
}

// schema is what hcl checks a body against. Required attributes are checked
// in decode.go, where the diagnostic can name the block.
func (b *block) schema() *hcl.BodySchema {
	s := &hcl.BodySchema{}
	for _, a := range b.attrs {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a.name})
	}
	for _, c := range b.blocks {
		s.Blocks = append(s.Blocks, c.header())
	}
	return s
}

func (b *block) header() hcl.BlockHeaderSchema {
	h := hcl.BlockHeaderSchema{Type: b.name}
	if b.label != "" {
		h.LabelNames = []string{b.label}
	}
	return h
}

// secretAttributes are the names of all attributes of kindSecret, anywhere.
func secretAttributes() map[string]bool {
	names := map[string]bool{}
	for todo := []*block{rootBlock()}; len(todo) > 0; todo = todo[1:] {
		for _, a := range todo[0].attrs {
			if a.kind == kindSecret {
				names[a.name] = true
			}
		}
		todo = append(todo, todo[0].blocks...)
	}
	return names
}
