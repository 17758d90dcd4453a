package spec

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Edit is a change of the members of one cluster, as a change of one file. It
// is checked: loaded again, the files give the old spec and exactly that change.
type Edit struct {
	// File is the name of the one file that changes, as [Load] was given it.
	File          string
	Before, After []byte
	// Files are all files with After in the place of Before, and Spec what they load to.
	Files    []File
	Spec     *Spec
	Warnings hcl.Diagnostics
	// Notes say what else went or stays, one sentence each, for people to look at.
	Notes []string
}

// NewMember is a member to write down. A port of 0 is left to its default, or,
// where that would not do, chosen: what all other members have, and among local
// members the next that are free.
type NewMember struct {
	Name, Address        string
	ClientPort, PeerPort int
}

// ByHandError says that a change cannot be made safely by an edit of the text,
// and where a person would make it. Nothing has changed.
type ByHandError struct {
	Change string // what was to be done
	Cause  string
	// At is the place to change; without a file name it is no place in the source, and Cause says where.
	At hcl.Range
}

func (e *ByHandError) Error() string {
	if e.At.Filename == "" {
		return fmt.Sprintf("cannot %s: %s\n  change it there and apply", e.Change, e.Cause)
	}
	return fmt.Sprintf("cannot %s: %s\n  change %s:%d by hand and apply", e.Change, e.Cause, e.At.Filename, e.At.Start.Line)
}

// ProtectedError says that a member is protected.
type ProtectedError struct {
	Change string
	Whose  string // `member "etcd1"` or `cluster "lab"`
	At     hcl.Range
}

func (e *ProtectedError) Error() string {
	return fmt.Sprintf("cannot %s: %s is protected\n  take protect = true away at %s:%d and apply first, if you mean it", e.Change, e.Whose, e.At.Filename, e.At.Start.Line)
}

// AddMember writes a member into a cluster: after the last one, and like the
// others. files load with o. An error that is no [ByHandError] is about what was asked for.
func AddMember(files []File, o Options, cluster string, m NewMember) (*Edit, error) {
	e, err := newEditor(files, o, cluster, fmt.Sprintf("add member %q to cluster %q", m.Name, cluster))
	if err != nil {
		return nil, err
	}
	if err := e.checkNew(&m); err != nil {
		return nil, err
	}
	last, err := e.lastMember()
	if err != nil {
		return nil, err
	}
	now, err := e.withPorts(m, func(m NewMember) error {
		e.insert(last, m)
		return e.parse()
	})
	if err != nil {
		return nil, err
	}
	return e.finish(now, func(was, is []*Member) bool {
		at := slices.IndexFunc(is, func(x *Member) bool { return x.Name == m.Name })
		return at >= 0 && is[at].Address == m.Address && m.ports(is[at]) && equal(was, slices.Delete(slices.Clone(is), at, at+1))
	})
}

// RemoveMembers takes members out of a cluster, with the comments that belong
// to them. Local members whose default ports would shift get them written down.
func RemoveMembers(files []File, o Options, cluster string, names ...string) (*Edit, error) {
	e, err := newEditor(files, o, cluster, fmt.Sprintf("remove member %s from cluster %q", quoteAll(names), cluster))
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if err := e.checkOld(n); err != nil {
			return nil, err
		}
	}
	left := func(m *Member) bool { return !slices.Contains(names, m.Name) }
	if !slices.ContainsFunc(e.cluster.Members, left) {
		return nil, fmt.Errorf("cannot %s: no member would be left\n  to end the cluster there is quorate destroy", e.change)
	}
	for _, n := range names {
		b, err := e.member(n)
		if err != nil {
			return nil, err
		}
		e.remove(b)
		if err := e.parse(); err != nil {
			return nil, err
		}
	}
	if err := e.pinPorts(); err != nil {
		return nil, err
	}
	now, err := e.load()
	if err != nil {
		return nil, err
	}
	return e.finish(now, func(was, is []*Member) bool {
		return equal(slices.DeleteFunc(slices.Clone(was), func(m *Member) bool { return !left(m) }), is)
	})
}

// ReplaceMember writes a new member in the place of an old one, whose other
// attributes stay, but for those of its connection that cannot be right for
// another host: host and host_keys go with another address, and root with
// another name. Its extra_sans stay, and a note says so. The name may be the same.
func ReplaceMember(files []File, o Options, cluster, old string, m NewMember) (*Edit, error) {
	e, err := newEditor(files, o, cluster, fmt.Sprintf("replace member %q of cluster %q", old, cluster))
	if err != nil {
		return nil, err
	}
	if err := e.checkOld(old); err != nil {
		return nil, err
	}
	from := e.cluster.Member(old)
	e.replaces = from
	if err := e.checkNew(&m); err != nil {
		return nil, err
	}
	if old == m.Name && from.Address == m.Address {
		return nil, fmt.Errorf("cannot %s: it has this name and address already", e.change)
	}
	if _, err := e.member(old); err != nil {
		return nil, err
	}
	now, err := e.withPorts(m, func(m NewMember) error { return e.rewrite(from, m) })
	if err != nil {
		return nil, err
	}
	return e.finish(now, func(was, is []*Member) bool {
		at := slices.Index(was, from)
		if len(was) != len(is) || is[at].Name != m.Name || is[at].Address != m.Address || !m.ports(is[at]) {
			return false
		}
		same := *is[at]
		same.Name, same.Address, same.ClientPort, same.PeerPort = from.Name, from.Address, from.ClientPort, from.PeerPort
		same.Connection.Host, same.Connection.HostKeys, same.Connection.Root = from.Connection.Host, from.Connection.HostKeys, from.Connection.Root
		others := slices.Clone(is)
		others[at] = &same
		return equal(was, others)
	})
}

// ports reports whether a member has the ports that were asked for.
func (n NewMember) ports(m *Member) bool {
	return (n.ClientPort == 0 || n.ClientPort == m.ClientPort) && (n.PeerPort == 0 || n.PeerPort == m.PeerPort)
}

// editor makes one [Edit]. Its text changes step by step, and is parsed anew after each.
type editor struct {
	files    []File
	options  Options
	was      *Spec
	cluster  *Cluster // of was
	change   string   // for errors
	replaces *Member  // who leaves as somebody comes
	file     int      // which of files holds the cluster block
	text     source
	block    *hclsyntax.Block // of the cluster, in text
	notes    []string
}

// newEditor finds the block of a cluster in files that load.
func newEditor(files []File, o Options, cluster, change string) (*editor, error) {
	e := &editor{files: files, options: o, change: change, file: -1}
	var diags hcl.Diagnostics
	if e.was, diags = Load(files, o); e.was == nil {
		return nil, fmt.Errorf("cannot %s: the spec does not load: %w", change, diags)
	}
	if e.cluster = e.was.Cluster(cluster); e.cluster == nil {
		return nil, fmt.Errorf("cannot %s: the spec has no such cluster", change)
	}
	for i, f := range files {
		if e.text.bytes = f.Bytes; clusterIn(f, cluster) != nil {
			e.file = i
			return e, e.parse()
		}
	}
	return nil, &ByHandError{change, "the cluster comes out of a dynamic block", e.cluster.Range}
}

// clusterIn is the cluster block that stands in a file, or nil.
func clusterIn(f File, cluster string) *hclsyntax.Block {
	parsed, diags := parse(f)
	if diags.HasErrors() {
		return nil
	}
	for _, b := range parsed.Body.(*hclsyntax.Body).Blocks {
		if b.Type == "cluster" && len(b.Labels) == 1 && b.Labels[0] == cluster {
			return b
		}
	}
	return nil
}

// parse looks at the text anew.
func (e *editor) parse() error {
	name := e.files[e.file].Name
	if e.block = clusterIn(File{name, e.text.bytes}, e.cluster.Name); e.block == nil {
		return e.byHand("the text around it cannot be edited", e.cluster.Range)
	}
	e.text = newSource(name, e.text.bytes)
	return nil
}

func (e *editor) byHand(cause string, at hcl.Range) error { return &ByHandError{e.change, cause, at} }

// checkNew says what is wrong with the name and address of a member that comes,
// and puts the address into its canonical form.
func (e *editor) checkNew(m *NewMember) error {
	l := &loader{}
	l.checkLabel(&node{l: l, block: memberBlock(), label: m.Name})
	m.Address = l.address(value{text: m.Address}, fmt.Sprintf("member %q", m.Name))
	if len(l.diags) > 0 {
		return fmt.Errorf("cannot %s: %s", e.change, strings.ReplaceAll(l.diags[0].Detail, "\n", "\n  "))
	}
	if had := e.cluster.Member(m.Name); had != nil && had != e.replaces {
		return fmt.Errorf("cannot %s: there is a member %q already, at %s:%d", e.change, m.Name, had.Range.Filename, had.Range.Start.Line)
	}
	return nil
}

// checkOld says why a member cannot leave.
func (e *editor) checkOld(name string) error {
	m := e.cluster.Member(name)
	switch {
	case m == nil:
		return fmt.Errorf("cannot %s: the spec has no member %q there", e.change, name)
	case e.cluster.Protect:
		return &ProtectedError{e.change, fmt.Sprintf("cluster %q", e.cluster.Name), e.protects(e.block.Body, e.cluster.Range)}
	case m.Protect:
		at := m.Range
		if b := e.static(name); b != nil {
			at = e.protects(b.Body, at)
		}
		return &ProtectedError{e.change, fmt.Sprintf("member %q", name), at}
	}
	return nil
}

// protects is where a body says so.
func (e *editor) protects(b *hclsyntax.Body, otherwise hcl.Range) hcl.Range {
	if a := b.Attributes["protect"]; a != nil {
		return a.SrcRange
	}
	return otherwise
}

// load loads the files with the text as it is.
func (e *editor) load() (*Edit, error) {
	out := &Edit{File: e.files[e.file].Name, Before: e.files[e.file].Bytes, After: e.text.bytes, Files: slices.Clone(e.files), Notes: e.notes}
	if bytes.Equal(Format(out.Before), out.Before) {
		out.After = Format(out.After)
	}
	out.Files[e.file].Bytes = out.After
	if out.Spec, out.Warnings = Load(out.Files, e.options); out.Spec != nil {
		return out, nil
	}
	first := out.Warnings[slices.IndexFunc(out.Warnings, func(d *hcl.Diagnostic) bool { return d.Severity == hcl.DiagError })]
	return nil, &loadError{first, fmt.Errorf("cannot %s: %s: %s", e.change, lowerFirst(first.Summary), strings.ReplaceAll(first.Detail, "\n", "\n  "))}
}

// loadError says why the edited spec does not load.
type loadError struct {
	first *hcl.Diagnostic
	error
}

// finish compares what was with what the edit has made of it. so says whether
// the members of the cluster are as they should be; all else has to be as it was.
func (e *editor) finish(out *Edit, so func(was, is []*Member) bool) (*Edit, error) {
	same := len(e.was.Clusters) == len(out.Spec.Clusters)
	for i := 0; same && i < len(e.was.Clusters); i++ {
		a, b := e.was.Clusters[i], out.Spec.Clusters[i]
		same = reflect.DeepEqual(besides(a), besides(b))
		if a != e.cluster {
			same = same && equal(a.Members, b.Members)
		}
	}
	if is := out.Spec.Cluster(e.cluster.Name); !same || is == nil || !so(e.cluster.Members, is.Members) {
		return nil, e.more(is)
	}
	return out, nil
}

// more is the error of an edit that would change more than it should: the first member that would be another.
func (e *editor) more(is *Cluster) error {
	for _, m := range e.cluster.Members {
		if is == nil || m == e.replaces {
			continue
		}
		if now := is.Member(m.Name); now != nil && !equal([]*Member{m}, []*Member{now}) {
			return e.byHand(fmt.Sprintf("member %q would change with it", m.Name), m.Range)
		}
	}
	return e.byHand("more would change with it", e.cluster.Range)
}

// besides is all of a cluster but its members, without places in the source.
func besides(c *Cluster) Cluster {
	out := *c
	out.Members, out.Range, out.Clients = nil, hcl.Range{}, nil
	for _, k := range c.Clients {
		copied := *k
		copied.Range = hcl.Range{}
		out.Clients = append(out.Clients, &copied)
	}
	return out
}

// equal compares members one by one, without places in the source.
func equal(a, b []*Member) bool {
	return slices.EqualFunc(a, b, func(a, b *Member) bool {
		x, y := *a, *b
		x.Range, x.AddressRange, y.Range, y.AddressRange = hcl.Range{}, hcl.Range{}, hcl.Range{}, hcl.Range{}
		return reflect.DeepEqual(x, y)
	})
}

// quoteAll lists names in quotes.
func quoteAll(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, fmt.Sprintf("%q", n))
	}
	return strings.Join(out, ", ")
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// clashes reports whether an edited spec fails for its ports.
func clashes(err error) bool {
	var l *loadError
	return errors.As(err, &l) && (l.first.Summary == "Port clash")
}
