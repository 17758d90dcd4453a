package main

import (
	"os/exec"
	"strings"
	"testing"
)

// What make builds says which version it is: both binaries, for each platform.
func TestMakeSetsTheVersion(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("there is no make")
	}
	for _, target := range []string{"build", "release"} {
		c := exec.Command("make", "--dry-run", target, "VERSION=v1.2.3-test")
		c.Dir = "../.."
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v %s", err, out)
		}
		var builds int
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, " build ") {
				builds++
				if !strings.Contains(line, "-X main.version=v1.2.3-test'") {
					t.Errorf("make %s builds without a version: %s", target, line)
				}
			}
		}
		if builds == 0 {
			t.Errorf("make %s builds nothing: %s", target, out)
		}
	}
}
