package resources

import (
	"runtime"
	"strings"
	"testing"
)

func TestRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Room(dir, 1); err != nil {
		t.Error(err)
	}
	if err := Room(dir, 1<<62); err == nil || !strings.Contains(err.Error(), "4.0 EiB") || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
	if err := Room(dir+"/none", 1); err == nil {
		t.Error("room in no folder")
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	n, known := Memory()
	if runtime.GOOS == "linux" && (!known || n <= 0 || n > 1<<50) || Spare() > n {
		t.Errorf("%d, known %t, of which %d", n, known, Spare())
	}
}
