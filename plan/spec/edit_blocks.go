package spec

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// members are the member blocks that stand in the cluster's, in their order, and
// the dynamic blocks that give members.
func (e *editor) members() (written, dynamic []*hclsyntax.Block) {
	for _, b := range e.block.Body.Blocks {
		switch {
		case b.Type == "member":
			written = append(written, b)
		case b.Type == "dynamic" && len(b.Labels) == 1 && b.Labels[0] == "member":
			dynamic = append(dynamic, b)
		}
	}
	return written, dynamic
}

// static is the block of a member that stands in the text, or nil.
func (e *editor) static(name string) *hclsyntax.Block {
	written, _ := e.members()
	for _, b := range written {
		if len(b.Labels) == 1 && b.Labels[0] == name {
			return b
		}
	}
	return nil
}

// member is [editor.static], and an error that says where it comes from instead.
func (e *editor) member(name string) (*hclsyntax.Block, error) {
	if b := e.static(name); b != nil {
		return b, nil
	}
	return nil, e.generated(e.cluster.Member(name))
}

// lastMember is the block after which another member goes.
func (e *editor) lastMember() (*hclsyntax.Block, error) {
	written, dynamic := e.members()
	if len(written) == 0 {
		return nil, e.generated(nil)
	}
	last := written[len(written)-1]
	for _, d := range dynamic {
		if d.TypeRange.Start.Byte > last.TypeRange.Start.Byte {
			last = d
		}
	}
	return last, nil
}

// insert writes a member behind a block, like those that stand there.
func (e *editor) insert(after *hclsyntax.Block, m NewMember) {
	written, _ := e.members()
	like := written[len(written)-1]
	at, eol := e.text.item(after.Range()), e.text.eol()
	indent, step := e.text.indent(like.TypeRange.Start.Byte), e.step()
	inline := oneLine(like) && m.ClientPort == 0 && m.PeerPort == 0

	var b strings.Builder
	if end := at.end; end > 0 && e.text.bytes[end-1] != '\n' {
		b.WriteString(eol)
	}
	if e.apart(written, inline) {
		b.WriteString(eol)
	}
	b.WriteString(indent + "member " + quoteHCL(m.Name) + " {")
	if inline {
		b.WriteString(" address = " + quoteHCL(m.Address) + " }" + eol)
	} else {
		// As fmt lays it out.
		fmt.Fprintf(&b, "%s%saddress%s= %s%s", eol, indent+step, pad("address", m), quoteHCL(m.Address), eol)
		if m.ClientPort != 0 {
			fmt.Fprintf(&b, "%sclient_port = %d%s", indent+step, m.ClientPort, eol)
		}
		if m.PeerPort != 0 {
			fmt.Fprintf(&b, "%speer_port%s= %d%s", indent+step, pad("peer_port", m), m.PeerPort, eol)
		}
		b.WriteString(indent + "}" + eol)
	}
	e.text.splice(at.end, at.end, b.String())
}

// pad brings the = below the other ones.
func pad(name string, m NewMember) string {
	longest := len("address")
	switch {
	case m.ClientPort != 0:
		longest = len("client_port")
	case m.PeerPort != 0:
		longest = len("peer_port")
	}
	return strings.Repeat(" ", longest-len(name)+1)
}

// apart reports whether a blank line goes before another member: as between the
// last two, and around one that takes several lines among those of one line.
func (e *editor) apart(written []*hclsyntax.Block, inline bool) bool {
	last := written[len(written)-1]
	if len(written) == 1 || !inline && oneLine(last) {
		return !inline || !oneLine(last)
	}
	return e.text.blank(e.text.item(written[len(written)-2].Range()).next)
}

// step is by how much what is in a block is indented.
func (e *editor) step() string {
	outer, written := e.text.indent(e.block.TypeRange.Start.Byte), e.block.Body.Blocks
	if len(written) > 0 {
		if step := strings.TrimPrefix(e.text.indent(written[0].TypeRange.Start.Byte), outer); step != "" {
			return step
		}
	}
	return "  "
}

func oneLine(b *hclsyntax.Block) bool {
	return b.OpenBraceRange.Start.Line == b.CloseBraceRange.Start.Line
}

// remove takes a member's block out, with its comments: those inside, on its
// lines, and directly above it. A comment above the first of several members that
// stand together, and that names neither its name nor its address, is about all of them and stays.
func (e *editor) remove(b *hclsyntax.Block) {
	it := e.text.item(b.Range())
	start := it.lead
	if it.lead < it.start && e.heads(b, it) {
		start = it.start
	}
	e.text.cut(start, it.end)
}

// heads reports whether the comment above a block is about those after it too.
func (e *editor) heads(b *hclsyntax.Block, it item) bool {
	before := e.text.tokenAt(it.lead) - 1
	begins := e.text.blank(before) || before > 0 && e.text.tokens[before-1].Type == hclsyntax.TokenOBrace
	together := false
	if written, _ := e.members(); it.next < len(e.text.tokens) {
		for _, o := range written {
			together = together || o.TypeRange.Start.Byte == e.text.tokens[it.next].Range.Start.Byte
		}
	}
	comment := string(e.text.bytes[it.lead:it.start])
	m := e.cluster.Member(b.Labels[0])
	return begins && together && !mentions(comment, m.Name) && !mentions(comment, m.Address)
}

// set gives an attribute of a block a value: HCL source. A new one goes behind the address.
func (e *editor) set(b *hclsyntax.Block, name, expr string) {
	if a := b.Body.Attributes[name]; a != nil {
		r := a.Expr.Range()
		e.text.splice(r.Start.Byte, r.End.Byte, expr)
		return
	}
	indent, eol := e.text.indent(b.TypeRange.Start.Byte), e.text.eol()
	if oneLine(b) {
		// A block on one line holds one attribute.
		open, end := b.OpenBraceRange.End.Byte, b.CloseBraceRange.Start.Byte
		inner, in := strings.TrimSpace(string(e.text.bytes[open:end])), eol+indent+e.step()
		if rest, ok := strings.CutPrefix(inner, "address = "); ok {
			inner = "address     = " + rest // as long as client_port
		}
		e.text.splice(open, end, in+inner+in+name+strings.Repeat(" ", max(len("client_port")-len(name), 0))+" = "+expr+eol+indent)
		return
	}
	address := b.Body.Attributes["address"]
	at := e.text.item(address.Range())
	if behind := b.Body.Attributes["client_port"]; name == "peer_port" && behind != nil && behind.SrcRange.Start.Byte > address.SrcRange.Start.Byte {
		at = e.text.item(behind.Range())
	}
	e.text.splice(at.end, at.end, e.text.indent(address.SrcRange.Start.Byte)+name+" = "+expr+eol)
}

func number(n int) string { return strconv.Itoa(n) }

// rewrite makes the block of a member that of another one.
func (e *editor) rewrite(from *Member, m NewMember) error {
	b := e.static(from.Name)
	if from.Address != m.Address {
		a := b.Body.Attributes["address"]
		t, ok := a.Expr.(*hclsyntax.TemplateExpr)
		if !ok || !t.IsStringLiteral() || e.text.bytes[t.SrcRange.Start.Byte] != '"' {
			at := e.origin(a.Expr, from)
			return e.byHand(fmt.Sprintf("its address does not stand in its block, at %s:%d%s", a.SrcRange.Filename, a.SrcRange.Start.Line, at.elsewhere()), at.at)
		}
		e.set(b, "address", quoteHCL(m.Address))
		if err := e.parse(); err != nil {
			return err
		}
	}
	for _, p := range []struct {
		name string
		port int
	}{{"client_port", m.ClientPort}, {"peer_port", m.PeerPort}} {
		if p.port == 0 {
			continue
		}
		e.set(e.static(from.Name), p.name, number(p.port))
		if err := e.parse(); err != nil {
			return err
		}
	}
	if err := e.stripConnection(from, m); err != nil {
		return err
	}
	b = e.static(from.Name)
	if b.Body.Attributes["extra_sans"] != nil && from.Address != m.Address {
		e.notes = append(e.notes, fmt.Sprintf("extra_sans of %s are kept for %s: take out what belongs to the old host", from.Name, m.Name))
	}
	e.text.splice(b.LabelRanges[0].Start.Byte, b.LabelRanges[0].End.Byte, quoteHCL(m.Name))
	return e.parse()
}

// stripConnection takes out of a member's connection what is of its old host.
func (e *editor) stripConnection(from *Member, m NewMember) error {
	for _, x := range []struct {
		name string
		goes bool
	}{{"host", from.Address != m.Address}, {"host_keys", from.Address != m.Address}, {"root", from.Name != m.Name}} {
		conn := child(e.static(from.Name), "connection")
		if conn == nil || !x.goes || conn.Body.Attributes[x.name] == nil {
			continue
		}
		e.notes = append(e.notes, fmt.Sprintf("%s is taken out of the connection of %s: it belongs to the old host", x.name, from.Name))
		if it := e.text.item(conn.Range()); oneLine(conn) {
			e.text.cut(it.lead, it.end)
		} else {
			a := e.text.item(conn.Body.Attributes[x.name].Range())
			e.text.cut(a.lead, a.end)
		}
		if err := e.parse(); err != nil {
			return err
		}
		if conn = child(e.static(from.Name), "connection"); conn == nil {
			continue
		}
		if inside := e.text.bytes[conn.OpenBraceRange.End.Byte:conn.CloseBraceRange.Start.Byte]; strings.TrimSpace(string(inside)) == "" {
			it := e.text.item(conn.Range())
			e.text.cut(it.lead, it.end)
			if err := e.parse(); err != nil {
				return err
			}
		}
	}
	return nil
}

// child is the first block of a kind inside another.
func child(b *hclsyntax.Block, kind string) *hclsyntax.Block {
	for _, c := range b.Body.Blocks {
		if c.Type == kind {
			return c
		}
	}
	return nil
}
