package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/plan/spec"
)

// A spec is edited only after a yes, and what is secret in it is not shown.
func TestEditAsks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ports, err := freePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`cluster "one" {
  connection { type = "local" }
  server { binary = %q }
  member "etcd1" {
    address     = "127.0.0.1"
    client_port = %d
    peer_port   = %d
  }
  tls {
    encryption {
      passphrase = "hunter22"
    }
  }
}
`, binFolder(t), ports[0], ports[0]+peerOffset)
	main := filepath.Join(dir, "main.hcl")
	if err := os.WriteFile(main, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for typed, code := range map[string]int{"no\n": exitFailed, "": exitFailed} {
		var out bytes.Buffer
		p := &process{
			args: []string{"quorate", "member", "add", "etcd2", "--address", "127.0.0.1", "-f", dir, "--client-port", fmt.Sprint(ports[1]), "--peer-port", fmt.Sprint(ports[1] + peerOffset)},
			in:   strings.NewReader(typed), out: &out, err: &out, now: time.Now, inTerminal: true,
			lookup: func(name string) (string, bool) { return dir, name == "HOME" },
		}
		if got := run(t.Context(), p); got != code {
			t.Errorf("%q: exit code %d: %s", typed, got, out.String())
		}
		if !strings.Contains(out.String(), `+  member "etcd2" {`) || !strings.Contains(out.String(), "Apply? Only yes goes on:") || strings.Contains(out.String(), "hunter22") {
			t.Errorf("%q: %s", typed, out.String())
		}
		if now, err := os.ReadFile(main); err != nil || string(now) != text {
			t.Errorf("%q: the spec was touched: %v\n%s", typed, err, now)
		}
	}
}

// The file is replaced as it is: a link stays a link, the mode stays, and what somebody else has written meanwhile too.
func TestWriteEdit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.hcl"), filepath.Join(dir, "main.hcl")
	if err := os.WriteFile(real, []byte("before"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.hcl", link); err != nil {
		t.Fatal(err)
	}
	e := &spec.Edit{File: link, Before: []byte("before"), After: []byte("after")}
	if err := writeEdit(e); err != nil {
		t.Fatal(err)
	}
	st, err := os.Lstat(real)
	if err != nil || st.Mode().Perm() != 0o640 || !st.Mode().IsRegular() {
		t.Errorf("%v, %v", st, err)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link: %v, %v", st, err)
	}
	if err := writeEdit(e); exitCode(err) != exitHeld || !strings.Contains(err.Error(), "has changed while the question was open") {
		t.Errorf("changed meanwhile: %v", err)
	}
	if b, err := os.ReadFile(real); err != nil || string(b) != "after" {
		t.Errorf("%q, %v", b, err)
	}
}
