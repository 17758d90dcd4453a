package world

import (
	"os"
	"path/filepath"
	"testing"
)

// Our lines are there once, somebody's own stay, and only what is ours is taken away.
func TestIgnore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, ".gitignore")
	read := func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			return ""
		}
		return string(b)
	}
	for range 2 {
		if err := Ignore(dir, IgnoreKeys); err != nil {
			t.Fatal(err)
		}
		if read() != IgnoreKeys {
			t.Fatalf("%q", read())
		}
	}
	if err := unignore(dir); err != nil || read() != "" {
		t.Fatalf("%v %q", err, read())
	}
	own := "*.tmp\n*-key.pem"
	if err := os.WriteFile(path, []byte(own), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Ignore(dir, "*\n*-key.pem\n"); err != nil || read() != own+"\n*\n" {
		t.Fatalf("%v %q", err, read())
	}
	if err := unignore(dir); err != nil || read() != own+"\n*\n" {
		t.Fatalf("%v %q", err, read())
	}
}
