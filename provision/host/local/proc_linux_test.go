package local

import (
	"os"
	"path/filepath"
	"testing"

	"quorate/provision/host"
)

func TestTheStampIsThatOfTheScripts(t *testing.T) {
	t.Parallel()
	h, root := newHost(t)
	f := host.File{Path: filepath.Join(root, "f"), Mode: 0o755, Content: []byte("x")}
	c, err := h.Write(t.Context(), host.WriteRequest{Files: []host.File{f}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	if got := stamp(info); got != c[0].Stamp {
		t.Fatalf("%q, by the scripts %q", got, c[0].Stamp)
	}
}
