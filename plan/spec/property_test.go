package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestImports: package plan stands on this one, and neither may reach the
// network, other processes or parsed certificates.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "quorate/plan/spec").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "net/netip") || !slices.Contains(deps, "quorate/plan/spec") {
		t.Fatalf("this is no list of imports: %v", deps)
	}
	const leaf = "quorate/kvserver/node" // the words that everybody shares; it imports nothing of ours
	for _, d := range deps {
		if strings.HasPrefix(d, leaf) {
			continue
		}
		if slices.Contains([]string{"net", "net/http", "os/exec", "crypto/x509"}, d) || strings.HasPrefix(d, "quorate/") && !strings.HasPrefix(d, "quorate/plan/spec") {
			t.Errorf("plan/spec depends on %s", d)
		}
	}
}

// sources are all specs of this repository, right and wrong.
func sources(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, pattern := range []string{"testdata/*/*.hcl", "testdata/*.hcl", "../../examples/*.hcl", "../../examples/*/*.hcl"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			src, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			all[p] = src
		}
	}
	if len(all) < 200 {
		t.Fatalf("only %d sources", len(all))
	}
	return all
}

// TestFormatKeepsMeaning: formatting twice is formatting once, what does not
// parse stays as it is, and what loads loads to the same clusters.
func TestFormatKeepsMeaning(t *testing.T) {
	t.Parallel()
	for name, src := range sources(t) {
		checkFormat(t, name, src)
	}
}

func checkFormat(t interface{ Errorf(string, ...any) }, name string, src []byte) {
	once := Format(src)
	if twice := Format(once); !bytes.Equal(once, twice) {
		t.Errorf("%s: formatting again changes it:\n%s\n---- to\n%s", name, once, twice)
	}
	if !parses(src) && !bytes.Equal(once, src) {
		t.Errorf("%s: it does not parse, and was changed", name)
	}
	_, o := storyOf(name, src)
	before, _ := Load([]File{{name, src}}, o)
	after, _ := Load([]File{{name, once}}, o)
	if a, b := digests(before), digests(after); a != b {
		t.Errorf("%s: formatting changes what it means:\n%s\n---- to\n%s", name, src, once)
	}
}

func digests(s *Spec) string {
	if s == nil {
		return "nothing"
	}
	var all []string
	for _, c := range s.Clusters {
		all = append(all, Digest(c))
	}
	return strings.Join(all, " ")
}

func TestFormatMessy(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.SampledFrom([]string{
			"cluster \"lab\" {", "}", "\n", "\n\n", "  ", "\t", "a=1", "bb   =    [1,2,\n3]", "# note", "// note\n", "/* x */",
			"member \"etcd1\" { address = \"192.168.7.1\" }", "x = <<EOT\n a\n  b\nEOT\n", "y = <<-EOT\n   a\n b\n  EOT\n",
			"z = \"${ a  +b }\"", "t = a?b:c", "f = upper ( \"x\" )", "o = {a=1,b = 2}", "\r\n", "v=-1", "n = !a",
		})).Draw(t, "pieces")
		checkFormat(t, "messy.hcl", []byte(strings.Join(pieces, "")))
	})
}

// TestNoSecretIsShown puts a secret into every combination of: how it comes
// in, what is made of it, and where that goes; mostly that is a wrong spec.
// Then it looks for the secret, and for pieces of it, in all that is printed.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	sources := []struct{ decl, ref string }{
		{"variable \"s\" {\n  sensitive = true\n}\n", "var.s"},
		{"variable \"s\" {\n  type = string\n  sensitive = true\n  default = \"c4nary-v4lue\"\n}\n", "var.s"},
		{"variable \"s\" {\n  default = {\n    a = [\"c4nary-v4lue\"]\n  }\n  sensitive = true\n}\n", "var.s.a[0]"},
		{"variable \"s\" {\n  sensitive = true\n  type = number\n}\n", "var.s"},
		{"variable \"s\" {\n  sensitive = true\n  type = list(string)\n}\n", "var.s"},
		{"locals {\n  s = env(\"S\")\n}\n", "local.s"},
		{"locals {\n  s = file(\"s\")\n}\n", "local.s"},
		{"locals {\n  s = { x = sensitive(env(\"S\")) }\n}\n", "local.s.x"},
		{"", "env(\"S\")"},
	}
	uses := []string{
		"%s", "\"${%s}\"", "[%s]", "{ k = %s }", "{ (%s) = 1 }", "tonumber(%s)", "tobool(%s)", "cidrhost(%s, 1)", "jsondecode(%s)", "regex(\"x(\", %s)",
		"%s.nope", "%s[0]", "%s + 1", "try(tonumber(%s), tobool(%[1]s))", "file(%s)", "env(%s)", "lookup({}, %s)", "{ a = 1 }[%s]",
		"[for x in [%s] : x.nope]", "[for x in split(\"-\", %s) : tonumber(x)]", "[for x in split(\"-\", upper(%s)) : tonumber(x)]",
		"{ for x in concat(split(\"-\", %s), split(\"-\", %[1]s)) : x => 1 }", "%s ? 1 : 2", "upper(%s)", "format(\"%%d\", %s)", "parseint(%s, 10)",
		"split(\"-\", %s)", "toset([%s])", "keys({ (%s) = 1 })", "join(\"\", [%s, \"x\"])", "element([], %s)", "substr(%s, 0, 99)",
	}
	places := []string{
		"  connection {\n    password = %s\n  }\n", "  connection {\n    sudo = \"never\"\n    sudo_password = %s\n  }\n",
		"  tls {\n    encryption {\n      passphrase = %s\n    }\n  }\n",
		"  connection {\n    type = \"local\"\n    passphrase = %s\n  }\n",
		"  dynamic \"client\" {\n    for_each = [%s]\n    labels = [client.value.nope]\n    content {}\n  }\n",
		"  dynamic \"member\" {\n    for_each = %s\n    labels = [\"m\"]\n    content {\n      address = member.value.nope\n      nope = 1\n    }\n  }\n",
		"  connection {\n    passphrase = local.two\n    nope = 1\n  }\n}\nlocals {\n  two = %s\n",
		// These are shown, so that a sensitive value is refused; what env() and
		// file() give may be shown there.
		"  server {\n    snapshot_count = %s\n  }\n", "  connection {\n    connect_timeout = [%s]\n  }\n", "  server {\n    extra_options = [%s]\n  }\n",
	}
	const shown = 7
	combined := 0
	for _, in := range sources {
		for _, use := range uses {
			for i, place := range places {
				if i >= shown && !strings.HasPrefix(in.ref, "var.") {
					continue
				}
				combined++
				src := in.decl + "cluster \"lab\" {\n  member \"a\" { address = \"192.168.7.1\" }\n" + fmt.Sprintf(place, fmt.Sprintf(use, in.ref)) + "}\n"
				checkNoSecret(t, src, combined)
			}
		}
	}
	if combined < 2000 {
		t.Errorf("only %d combinations", combined)
	}
}

// checkNoSecret loads src and prints all there is to print about it. A
// variable "s" gets the secret from a source that changes with turn.
func checkNoSecret(t *testing.T, src string, turn int) {
	t.Helper()
	const secret = "c4nary-v4lue"
	o := Options{
		Env:      func(name string) (string, bool) { return secret, name == "S" },
		ReadFile: func(string) ([]byte, error) { return []byte(secret), nil },
	}
	if strings.Contains(src, "variable") && !strings.Contains(src, "default") {
		switch turn % 4 {
		case 0:
			o.Vars = map[string]string{"s": secret}
		case 1:
			o.VarFiles = []File{{"v.hclvars", []byte("s = \"" + secret + "\"\n")}}
		case 2:
			o.VarFiles = []File{{"v.json", []byte("{\"s\": [\"" + secret + "\", {\"x\": \"" + secret + "\"}]}")}}
		case 3:
			o.Env = func(name string) (string, bool) { return secret, name == "S" || name == "QUORATE_VAR_s" }
		}
	}
	files := []File{{"main.hcl", []byte(src)}}
	s, diags := Load(files, o)
	var out bytes.Buffer
	if err := WriteDiagnostics(&out, diags, append(files, o.VarFiles...), 0, false); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{"spec": s, "diagnostics": DiagnosticsJSON(diags)})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	if s != nil {
		fmt.Fprintf(&out, "%v %+v %#v", s.Clusters[0], *s.Clusters[0].Members[0], s.Clusters[0].Members[0].Connection)
	}
	text := strings.ToLower(out.String())
	if strings.Contains(text, "c4nary") || strings.Contains(text, "v4lue") {
		t.Errorf("%s\n---- shows\n%s", src, out.String())
	}
}

// TestDigest: what changes the cluster changes the digest, and how it is
// reached, where it is written down and its secrets do not.
func TestDigest(t *testing.T) {
	t.Parallel()
	load := func(src string) string {
		s, diags := Load([]File{{"main.hcl", []byte(src)}}, Options{Env: func(n string) (string, bool) { return n, true }})
		if s == nil {
			t.Fatal(diags)
		}
		return Digest(s.Clusters[0])
	}
	const base = "cluster \"lab\" {\n  member \"a\" { address = \"192.168.7.1\" }\n%s}\n"
	plain := load(fmt.Sprintf(base, ""))
	if len(plain) != 64 || plain != load(fmt.Sprintf(base, "")) {
		t.Fatalf("digest %q", plain)
	}
	for _, same := range []string{
		"\n\n# moved\n", "  server {}\n", "  server {\n    log_level = \"info\"\n  }\n",
		"  connection {\n    user = \"admin\"\n    password = env(\"PW\")\n    wait_for_host = \"5m\"\n    port = 2222\n  }\n",
		"  protect = true\n", "  dependents \"control-plane\" { preset = \"kubeasz\" }\n",
	} {
		if load(fmt.Sprintf(base, same)) != plain {
			t.Errorf("another digest with %s", same)
		}
	}
	for _, other := range []string{
		"  server {\n    log_level = \"warn\"\n  }\n", "  client \"x\" {}\n", "  member \"b\" { address = \"192.168.7.2\" }\n",
		"  tls {\n    renew_before = \"31d\"\n  }\n", "  server {\n    extra_options = { max-txn-ops = 1 }\n  }\n", "  connection {\n    type = \"local\"\n  }\n",
	} {
		if load(fmt.Sprintf(base, other)) == plain {
			t.Errorf("the same digest with %s", other)
		}
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	s := NewSecret("hush")
	b, err := json.Marshal(struct{ S Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s) + fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s) + string(b); strings.Contains(got, "hush") {
		t.Errorf("it shows: %s", got)
	}
	if s.Reveal() != "hush" || s.Empty() || !(Secret{}).Empty() {
		t.Error("it has lost its text")
	}
}
