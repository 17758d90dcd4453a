package lab

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPruneKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	if _, err := mountsBelow("/nowhere"); err != nil {
		t.Skip("this system does not list its mounts")
	}
	dir := t.TempDir()
	long := time.Now().Add(-keepUnused - time.Hour)
	for name, used := range map[string]time.Time{"new": long, "old": long, "recent": time.Now()} {
		if err := os.MkdirAll(filepath.Join(dir, name, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), used, used); err != nil {
			t.Fatal(err)
		}
	}
	if err := prune(dir, filepath.Join(dir, "new")); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 || filepath.Base(left[0]) != "new" || filepath.Base(left[1]) != "recent" {
		t.Errorf("left are %q, %v; want new and recent", left, err)
	}
}
