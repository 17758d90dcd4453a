package spec

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// StarterOptions shape a starter spec.
type StarterOptions struct {
	// Name of the cluster; default "lab".
	Name string
	// Local asks for members on this machine: no SSH, no root.
	Local bool
}

// Starter writes a spec for one member on each of hosts (IP addresses or host
// names), named etcd1, etcd2, …; with o.Local and no hosts, for three members
// on 127.0.0.1. Every other block stands in it as a comment with its defaults.
// The result loads without an error; hosts or a name that would not are the
// only errors.
func Starter(hosts []string, o StarterOptions) ([]byte, error) {
	if o.Name == "" {
		o.Name = "lab"
	}
	if o.Local && len(hosts) == 0 {
		hosts = []string{"127.0.0.1", "127.0.0.1", "127.0.0.1"}
	}
	if len(hosts) == 0 {
		return nil, fmt.Errorf("cannot write spec for cluster %q: no hosts were given\n  Name them with --host ADDRESS, once for each; or use --local for members on this machine", o.Name)
	}
	var b bytes.Buffer
	b.WriteString("# One etcd cluster. Everything that is commented out shows its default: to change\n")
	b.WriteString("# something, take the first # away from its block. docs/spec.md has every block\n# and attribute.\n\n")
	fmt.Fprintf(&b, "cluster %s {\n", quoteHCL(o.Name))
	if o.Local {
		b.WriteString("connection {\ntype = \"local\"\n}\n\n")
	}
	for i, h := range hosts {
		fmt.Fprintf(&b, "member \"etcd%d\" { address = %s }\n", i+1, quoteHCL(h))
	}
	names := strings.NewReplacer("<cluster>", o.Name)
	for _, c := range clusterBlock().blocks {
		if c.name == "connection" && o.Local {
			continue
		}
		if c.name == "member" || c.name == "host" {
			c.blocks = nil // its connection is the cluster's again
		}
		b.WriteString("\n")
		writeCommented(&b, c, "# ", names)
	}
	b.WriteString("}\n")
	out := Format(b.Bytes())
	if _, diags := Load([]File{{Name: "main.hcl", Bytes: out}}, Options{}); diags.HasErrors() {
		for _, d := range diags {
			if d.Severity == hcl.DiagError {
				return nil, fmt.Errorf("cannot write spec for cluster %q: %s", o.Name, strings.ReplaceAll(d.Detail, "\n", "\n  "))
			}
		}
	}
	return out, nil
}

func quoteHCL(s string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes())
}

// writeCommented writes block c as comment lines. Taking one "# " away from
// all of them gives the block with its defaults written out: what has none
// (and blocks in which something is required) stays commented, with an example.
func writeCommented(b *bytes.Buffer, c *block, prefix string, names *strings.Replacer) {
	fmt.Fprintf(b, "%s## %s\n", strings.TrimSuffix(prefix, "# "), c.doc)
	if c.requires() {
		prefix += "# "
	}
	header := c.name
	if c.label != "" {
		header += fmt.Sprintf(" %q", map[string]string{"member": "etcd1", "client": "app", "host": "control1", "source": "amd64", "dependents": "kubernetes"}[c.name])
	}
	fmt.Fprintf(b, "%s%s {\n", prefix, header)
	var lines [][2]string
	for _, a := range c.attrs {
		if a.name == "root" {
			continue // of local connections only, and this one is commented out for SSH
		}
		line, note := a.name+" = "+names.Replace(a.sample()), a.doc
		switch {
		case a.def != "":
			line = a.name + " = " + names.Replace(a.def)
		case !a.required:
			line, note = "# "+line, note+"; default: "+a.unset
		}
		lines = append(lines, [2]string{line, note})
	}
	width := 0
	for _, l := range lines {
		if len(l[0]) <= 40 {
			width = max(width, len(l[0]))
		}
	}
	for _, l := range lines {
		fmt.Fprintf(b, "%s  %-*s # %s\n", prefix, width, l[0], l[1])
	}
	for _, child := range c.blocks {
		writeCommented(b, child, prefix+"  ", names)
	}
	fmt.Fprintf(b, "%s}\n", prefix)
}

// requires reports whether the block says nothing without being filled in.
func (b *block) requires() bool {
	return b.name == "encryption" || b.name == "dependents" || slices.ContainsFunc(b.attrs, func(a *attribute) bool { return a.required })
}
