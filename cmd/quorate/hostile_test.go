package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is printed passes one boundary, errors included: control characters are made visible, and the
// secrets of the spec, wherever somebody echoes them, are masked.
func TestOutputBoundary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	spec := "cluster \"lab\" {\n  connection {\n    sudo_password = env(\"PW\")\n    ssh_config = \"/nowhere/hunter22\"\n  }\n  member \"etcd1\" { address = \"127.0.0.1\" }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"HOME": dir, "PW": "hunter22"}
	try := func(args ...string) (code int, text string) {
		var out bytes.Buffer
		p := &process{
			args: append([]string{"quorate"}, args...), in: strings.NewReader(""), out: &out, err: &out, now: time.Now,
			lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		}
		return run(t.Context(), p), out.String()
	}
	if code, text := try("plan", "-f", "no\x1b[2J\u202esuch"); code != exitUsage || strings.ContainsAny(text, "\x1b\u202e") || !strings.Contains(text, `\u202e`) {
		t.Errorf("%d %q", code, text)
	}
	for _, how := range [][]string{{"plan"}, {"plan", "--json"}, {"status"}, {"status", "--json"}} {
		_, text := try(append(how, "-f", dir)...)
		if !strings.Contains(text, "/nowhere/•••") || strings.Contains(text, "hunter22") {
			t.Errorf("%v: %q", how, text)
		}
	}
}
