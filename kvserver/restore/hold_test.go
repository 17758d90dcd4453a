package restore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is there already is not taken for our own, and nothing is put behind a link.
func TestHoldRefuses(t *testing.T) {
	t.Parallel()
	file := aSnapshot(t)
	for name, put := range map[string]func(t *testing.T, path, elsewhere string) error{
		"a folder": func(_ *testing.T, path, _ string) error { return os.Mkdir(path, 0o700) },
		"a link":   func(_ *testing.T, path, elsewhere string) error { return os.Symlink(elsewhere, path) },
	} {
		for _, which := range []string{"data", "wal"} {
			o, elsewhere := options(t, file), t.TempDir()
			o.Hold, o.WALDir = true, filepath.Join(t.TempDir(), "staging", "wal")
			at := o.DataDir
			if which == "wal" {
				at = filepath.Dir(o.WALDir)
			}
			if err := put(t, at, elsewhere); err != nil {
				t.Fatal(err)
			}
			if _, err := Restore(t.Context(), o); err == nil || !strings.Contains(err.Error(), at+" is there already") {
				t.Errorf("%s at %s: %v", name, which, err)
			}
			if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
				t.Errorf("%s at %s: %v was put elsewhere (%v)", name, which, left, err)
			}
		}
	}
}
