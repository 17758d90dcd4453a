package spec

import (
	"bytes"
	"testing"
)

// FuzzLoad: no source makes Load, Format or the printing of complaints panic,
// a spec comes exactly without errors, every complaint has a place inside the
// source, formatting settles, and an edit is refused or gives exactly its change. The corpus is every spec of this repository.
func FuzzLoad(f *testing.F) {
	for name, src := range sources(f) {
		f.Add(src, name == "")
	}
	f.Add([]byte("a = \"${\n"), true)
	f.Add([]byte("password = <<EOT\nx\nEOT\n"), true)
	f.Fuzz(func(t *testing.T, src []byte, asVars bool) {
		if len(src) > 1<<16 {
			t.Skip("long sources only slow it down")
		}
		files, o := storyOf("fuzz.hcl", src)
		if asVars {
			o.VarFiles = []File{{"v.hclvars", src}, {"v.json", src}}
		}
		s, diags := Load(files, o)
		if (s == nil) != diags.HasErrors() {
			t.Errorf("a spec (%v) beside %v", s, diags)
		}
		for _, d := range diags {
			if d.Summary == "" || d.Detail == "" {
				t.Errorf("a complaint that says nothing: %+v", d)
			}
		}
		var out bytes.Buffer
		if err := WriteDiagnostics(&out, diags, append(files, o.VarFiles...), 80, true); err != nil {
			t.Error(err)
		}
		if s != nil {
			for _, c := range s.Clusters {
				if c.Name == "" || len(c.Members) == 0 || Digest(c) == "" {
					t.Errorf("half a cluster: %+v", c)
				}
			}
		}
		checkFormat(t, "fuzz.hcl", src)
		if len(src) < 1<<12 {
			checkEdits(t, "fuzz.hcl", files, o)
		}
	})
}
