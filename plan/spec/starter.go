package spec

import (
	"bytes"
	"fmt"
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
	b.WriteString("# One etcd cluster. Everything that is commented out shows its default;\n")
	b.WriteString("# docs/spec.md has every block and attribute.\n\n")
	fmt.Fprintf(&b, "cluster %s {\n", quoteHCL(o.Name))
	if o.Local {
		b.WriteString("connection {\ntype = \"local\"\n}\n\n")
	}
	for i, h := range hosts {
		fmt.Fprintf(&b, "member \"etcd%d\" { address = %s }\n", i+1, quoteHCL(h))
	}
	names := strings.NewReplacer("<cluster>", o.Name)
	for _, c := range clusterBlock().blocks {
		if c.name == "member" || c.name == "connection" && o.Local {
			continue
		}
		b.WriteString("\n")
		writeCommented(&b, c, "", names)
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

// writeCommented writes block c as comment lines, with defaults as values;
// attributes without one show an example in angle brackets' stead.
func writeCommented(b *bytes.Buffer, c *block, indent string, names *strings.Replacer) {
	line := func(format string, args ...any) { fmt.Fprintf(b, "# "+indent+format+"\n", args...) }
	if c.doc != "" {
		line("%s", c.doc)
	}
	header := c.name
	if c.label != "" {
		header += fmt.Sprintf(" %q", map[string]string{"client": "app", "source": "amd64"}[c.name])
	}
	line("%s {", header)
	width := 0
	for _, a := range c.attrs {
		width = max(width, len(a.name)+len(names.Replace(starterValue(a)))+5)
	}
	for _, a := range c.attrs {
		note := a.doc
		if a.def == "" && !a.required {
			note += "; default: " + a.unset
		}
		line("  %-*s # %s", width, a.name+" = "+names.Replace(starterValue(a)), note)
	}
	for _, child := range c.blocks {
		writeCommented(b, child, indent+"  ", names)
	}
	line("}")
}

func starterValue(a *attribute) string {
	if a.def != "" {
		return a.def
	}
	return a.example
}
