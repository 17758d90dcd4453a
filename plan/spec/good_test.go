package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGood: every right spec gives exactly these clusters, and these warnings.
func TestGood(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/good/*.hcl")
	if err != nil || len(paths) < 5 {
		t.Fatalf("%d right specs, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".hcl"), func(t *testing.T) {
			t.Parallel()
			files, o := story(t, path)
			o.ReadFile = func(name string) ([]byte, error) { return []byte("file-" + filepath.Base(name) + "\n"), nil }
			s, diags := Load(files, o)
			var out bytes.Buffer
			if err := WriteDiagnostics(&out, diags, append(files, o.VarFiles...), 78, false); err != nil {
				t.Fatal(err)
			}
			if s == nil {
				t.Fatalf("it does not load:\n%s", out.String())
			}
			if diags.HasErrors() {
				t.Fatalf("errors beside a spec:\n%s", out.String())
			}
			for _, c := range s.Clusters {
				out.Write(view(t, c))
			}
			golden(t, strings.TrimSuffix(path, ".hcl")+".json", out.String())
		})
	}
}

// view shows all of a cluster, also what its JSON keeps for itself.
func view(t *testing.T, c *Cluster) []byte {
	t.Helper()
	for _, r := range c.Members {
		if r.Range.Filename == "" || r.AddressRange.Filename == "" || r.AddressRange.Start.Line < r.Range.Start.Line {
			t.Errorf("member %q has no place: %v, %v", r.Name, r.Range, r.AddressRange)
		}
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(append(b, '\n'))
	for _, m := range c.Members {
		k := m.Connection
		fmt.Fprintf(out, "# %s: connect %s, wait %s, keep alive %s, passphrase %q, password %q, sudo password %q\n", m.Name,
			k.ConnectTimeout, k.WaitForHost, k.KeepAlive, k.Passphrase.Reveal(), k.Password.Reveal(), k.SudoPassword.Reveal())
	}
	if e := c.TLS.Encryption; e != nil {
		fmt.Fprintf(out, "# CA passphrase %q\n", e.Passphrase.Reveal())
	}
	return out.Bytes()
}

// TestFoldersAndPaths: several files are one spec, in any order, and paths
// start from Dir.
func TestFoldersAndPaths(t *testing.T) {
	t.Parallel()
	a := File{"b.hcl", []byte("cluster \"b\" {\n  member \"m\" { address = local.ip }\n  tls {\n    dir = \"keys\"\n  }\n}\n")}
	b := File{"a.hcl", []byte("locals {\n  ip = trimspace(file(\"ip.txt\"))\n}\ncluster \"a\" {\n  member \"m\" { address = \"192.168.7.2\" }\n}\n")}
	var read string
	o := Options{Dir: "infra/etcd/", ReadFile: func(name string) ([]byte, error) { read = name; return []byte("192.168.7.1\n"), nil }}
	s, diags := Load([]File{a, b, a}, o)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if len(s.Clusters) != 2 || s.Clusters[0].Name != "a" || s.Clusters[1].Name != "b" {
		t.Fatalf("clusters %v", s.Clusters)
	}
	c := s.Cluster("b")
	if c.Members[0].Address != "192.168.7.1" || read != "infra/etcd/ip.txt" {
		t.Errorf("address %q from %q", c.Members[0].Address, read)
	}
	for p, want := range map[string]string{"keys": "infra/etcd/keys", "/abs": "/abs", "~/x": "~/x", "": ""} {
		if got := c.Path(p); got != want {
			t.Errorf("Path(%q) = %q, want %q", p, got, want)
		}
	}
	if s.Cluster("c") != nil || c.Member("m") == nil || c.Member("n") != nil {
		t.Error("lookup by name is wrong")
	}
}

func TestVariableFilesInJSON(t *testing.T) {
	t.Parallel()
	files := []File{{"main.hcl", []byte("variable \"ips\" {\n  type = list(string)\n}\ncluster \"a\" {\n  member \"m\" { address = var.ips[0] }\n}\n")}}
	s, diags := Load(files, Options{VarFiles: []File{{"x.json", []byte(`{"ips": ["192.168.7.9"]}`)}}})
	if len(diags) > 0 || s.Clusters[0].Members[0].Address != "192.168.7.9" {
		t.Fatal(diags, s)
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	if s, diags := Load(nil, Options{}); s != nil || !strings.Contains(diags.Error(), "no file was given") {
		t.Errorf("%v, %v", s, diags)
	}
	if got, err := json.Marshal(DiagnosticsJSON(nil)); err != nil || string(got) != "[]" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	big := File{"big.hcl", bytes.Repeat([]byte("#\n"), maxFileSize/2+1)}
	s, diags := Load([]File{big}, Options{})
	if s != nil || !strings.Contains(diags.Error(), "File too large") {
		t.Errorf("%v, %v", s, diags)
	}
}

func TestDiagnosticsJSON(t *testing.T) {
	t.Parallel()
	files, o := story(t, "testdata/bad/061-even-voters.hcl")
	_, diags := Load(files, o)
	b, err := json.MarshalIndent(DiagnosticsJSON(diags), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/diagnostics.json", string(b)+"\n")
}

// TestExamples: every example loads without a complaint, and is formatted.
func TestExamples(t *testing.T) {
	t.Parallel()
	root := "../../examples"
	var folders = map[string][]File{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".hcl" {
			return err
		}
		src, err := os.ReadFile(path)
		key := path // beside each other they are specs of their own, in a folder they are one
		if dir := filepath.Dir(path); dir != root {
			key = dir
		}
		folders[key] = append(folders[key], File{filepath.Base(path), src})
		if !bytes.Equal(Format(src), src) {
			t.Errorf("%s is not formatted", path)
		}
		return err
	})
	if err != nil || len(folders) < 6 {
		t.Fatalf("%d examples, %v", len(folders), err)
	}
	for name, files := range folders {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			env := func(name string) (string, bool) { return "from the environment", !strings.HasPrefix(name, EnvPrefix) }
			_, diags := Load(files, Options{Env: env, Home: "/home/op"})
			if len(diags) > 0 {
				var out bytes.Buffer
				_ = WriteDiagnostics(&out, diags, files, 78, false)
				t.Error(out.String())
			}
		})
	}
}

// TestDeepSources: with a million of these, hcl's recursion would end the process.
func TestDeepSources(t *testing.T) {
	t.Parallel()
	for name, expr := range map[string]string{
		"sum":         strings.Repeat("1+", 5_000) + "1",
		"not":         "(" + strings.Repeat("!\n", 5_000) + "true)",
		"conditional": "(" + strings.Repeat("true?1\n:\n", 5_000) + "1)",
		"index":       "[]" + strings.Repeat("[0]", 5_000),
		"parentheses": strings.Repeat("(", 5_000) + "1" + strings.Repeat(")", 5_000),
		"template":    strings.Repeat(`"${`, 5_000),
		"splat":       "a" + strings.Repeat("[*]", 5_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := []byte("locals {\n  x = " + expr + "\n}\n")
			s, diags := Load([]File{{"main.hcl", src}}, Options{})
			if s != nil || !strings.Contains(diags.Error(), "Expression too deep") {
				t.Errorf("%v, %.200v", s, diags)
			}
		})
	}
	deep := []byte("x = " + strings.Repeat("[", 5_000) + "\n")
	if !bytes.Equal(Format(deep), deep) {
		t.Error("it was formatted")
	}
	good := []byte("cluster \"lab\" {\n  member \"a\" { address = \"192.168.7.1\" }\n}\n")
	if s, diags := Load([]File{{"main.hcl", good}}, Options{VarFiles: []File{{"v.hclvars", deep}, {"v.json", deep}}}); s != nil || !strings.Contains(diags.Error(), "Expression too deep") {
		t.Errorf("%v, %.200v", s, diags)
	}
	// The most that is allowed is not too much.
	src := "locals {\n  x = " + strings.Repeat("(", 150) + strings.Repeat("1+", 800) + "1" + strings.Repeat(")", 150) + "\n}\n" +
		"cluster \"lab\" {\n  member \"a\" { address = \"192.168.7.1\" }\n}\n"
	if s, diags := Load([]File{{"main.hcl", []byte(src)}}, Options{}); s == nil {
		t.Errorf("%.200v", diags)
	}
}
