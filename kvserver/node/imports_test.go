package node

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports: everybody may import these words, since they import nothing of ours.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if dep == "net" || strings.HasPrefix(dep, "quorate/") && !strings.HasPrefix(dep, "quorate/kvserver/node") {
			t.Errorf("the leaf depends on %s", dep)
		}
	}
}
