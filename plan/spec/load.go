package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/dynblock"
	"github.com/zclconf/go-cty/cty"
)

// File is one source file. Name is what diagnostics call it.
type File struct {
	Name  string
	Bytes []byte
}

// Options is what a spec may ask of the world around it. The zero value is a
// world with nothing in it.
type Options struct {
	// Dir is the folder that relative paths of the spec start from, slash
	// separated. Default ".".
	Dir string
	// Vars are values given by name (--var). Naming a variable that the spec
	// does not declare is an error.
	Vars map[string]string
	// VarFiles hold attributes (HCL, or JSON when the name ends in .json); a
	// later file wins over an earlier one, Vars over all of them.
	VarFiles []File
	// Env looks up an environment variable: for env() and QUORATE_VAR_<name>.
	// Nil is an empty environment.
	Env func(name string) (string, bool)
	// ReadFile serves file(); its argument starts with Dir or is absolute.
	// Nil refuses.
	ReadFile func(name string) ([]byte, error)
	// Home stands for "~" in paths. Empty leaves "~/" as it is.
	Home string
	// Recipient says why nothing can be encrypted for a recipient of the CA key, and Identity why the file
	// at a path, if there is one, could not open it. Nil has nothing to say.
	Recipient, Identity func(string) error
}

// Load decodes and validates files, which together are one spec. It returns
// every complaint at once, sorted by position. When one of them is an error
// the spec is nil; warnings alone leave it usable, with every default filled
// in. Load opens no file, reads no environment and keeps no state: the same
// arguments give the same result. No diagnostic holds a secret's text, except
// in the source itself; [WriteDiagnostics] hides it there.
func Load(files []File, o Options) (*Spec, hcl.Diagnostics) {
	if o.Dir == "" {
		o.Dir = "."
	}
	o.Dir = path.Clean(o.Dir)
	if o.Env == nil {
		o.Env = func(string) (string, bool) { return "", false }
	}
	l := &loader{o: o, defaults: map[*attribute]value{}, blocks: map[any]*node{}}
	s := l.load(files)
	diags := l.finish()
	if s != nil {
		s.secrets = l.secrets
	}
	if diags.HasErrors() {
		return nil, diags
	}
	return s, diags
}

// loader carries one Load from step to step.
type loader struct {
	o     Options
	diags hcl.Diagnostics
	ctx   *hcl.EvalContext
	// incomplete: some blocks could not be expanded, so what is missing
	// may not really be missing. An error has been reported.
	incomplete bool
	// secrets are the texts that no diagnostic may hold; quiet those that
	// are not shown as the value of a variable.
	secrets, quiet []string
	defaults       map[*attribute]value
	// blocks are what each *Cluster, *Member, *Client, *Host, *Install and *Dependents was made of, for
	// checks across clusters that want to point at an attribute.
	blocks map[any]*node
	// secretNames are the locals and variables that secrets are made of.
	secretNames names
}

func (l *loader) load(files []File) *Spec {
	bodies := l.parse(files)
	if len(files) == 0 {
		l.fail(hcl.Range{}, "Nothing to load", "There is no spec: no file was given.", `Write one with "quorate init --host ADDRESS …", or name its folder with --file.`)
		return nil
	}
	if l.diags.HasErrors() {
		// What hcl makes of the rest of a file with a syntax error would only mislead.
		return nil
	}
	l.secretNames = secretNames(bodies)
	root := rootBlock()
	var content []*hcl.BodyContent
	for _, b := range bodies {
		// Unknown blocks are reported below, after expansion.
		c, _, _ := b.PartialContent(&hcl.BodySchema{Blocks: append(root.schema().Blocks, dynamicHeader)})
		content = append(content, c)
	}
	l.ctx = &hcl.EvalContext{Functions: l.functions(), Variables: map[string]cty.Value{}}
	l.variables(content)
	l.locals(content)

	s := &Spec{}
	for i, b := range bodies {
		l.checkDynamic(content[i])
		c, _ := l.content(dynblock.Expand(b, l.ctx, dynblock.OptCheckForEach(l.checkForEach)), root)
		for _, hb := range c.Blocks.OfType("cluster") {
			n := l.decode(root.child("cluster"), hb, l.ctx)
			s.Clusters = append(s.Clusters, l.cluster(n))
		}
	}
	if len(s.Clusters) == 0 && !l.incomplete && !l.diags.HasErrors() {
		l.fail(start(files[0]), "No cluster", "The spec has no cluster block, so there is nothing to build.",
			"Add one:\n\n  cluster \"lab\" {\n    member \"etcd1\" { address = \"192.168.7.101\" }\n  }")
	}
	l.checkClusters(s.Clusters)
	slices.SortStableFunc(s.Clusters, func(a, b *Cluster) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func (l *loader) parse(files []File) []hcl.Body {
	var bodies []hcl.Body
	seen := map[string]bool{}
	for _, f := range files {
		if seen[f.Name] {
			continue // the same file named twice
		}
		seen[f.Name] = true
		parsed, diags := parse(f)
		l.diags = append(l.diags, diags...)
		if parsed != nil {
			bodies = append(bodies, parsed.Body)
		}
	}
	return bodies
}

// dynamicHeader is the block that dynblock expands.
var dynamicHeader = hcl.BlockHeaderSchema{Type: "dynamic", LabelNames: []string{"type"}}

// checkDynamic complains about dynamic blocks that would expand to nothing.
func (l *loader) checkDynamic(c *hcl.BodyContent) {
	for _, b := range c.Blocks.OfType("dynamic") {
		if t := b.Labels[0]; t == "variable" || t == "locals" {
			l.fail(b.LabelRanges[0], "Unsupported dynamic block", fmt.Sprintf("A %s block cannot be made by a dynamic block: it is read before those are expanded.", t),
				"Write it out.")
		}
	}
}

// suppressed marks a diagnostic that only stops dynblock: its cause has been reported.
type suppressed struct{}

// checkForEach is asked by dynblock about each for_each value.
func (l *loader) checkForEach(v cty.Value, e hcl.Expression, _ *hcl.EvalContext) hcl.Diagnostics {
	if known := v.IsWhollyKnown(); !known || isSensitive(v) {
		if known { // otherwise its cause has been reported
			l.sensitiveShown(e.Range(), "for_each")
		}
		l.incomplete = true
		return hcl.Diagnostics{{Severity: hcl.DiagError, Extra: suppressed{}}}
	}
	if v.ContainsMarked() {
		l.keepQuiet(v) // the iterator's values lose their marks
	}
	return nil
}
