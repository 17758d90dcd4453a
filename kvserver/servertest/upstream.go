package servertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Upstream is a binary of etcd of that minor version ("3.6"), and the version that it says it has ("3.6.16"): built from
// test/upstream into dir, or, of 3.4, which cannot be built with a Go of today, the
// one in the PATH (Debian 12: etcd-server). Where there is none, missing says so.
func Upstream(t testing.TB, minor, dir string) (path, version, missing string) {
	t.Helper()
	if minor == "3.4" {
		if path, err := exec.LookPath("etcd"); err == nil {
			if version := VersionOf(t, path); strings.HasPrefix(version, "3.4.") {
				return path, version, ""
			}
		}
		return "", "", "no etcd 3.4 in the PATH (Debian 12: etcd-server)"
	}
	path = filepath.Join(dir, "etcd-"+minor)
	_, here, _, _ := runtime.Caller(0)
	if err := Build(filepath.Join(filepath.Dir(here), "../../test/upstream/v"+minor), ".", path); err != nil {
		t.Fatal(err)
	}
	return path, VersionOf(t, path), ""
}

// Build builds a program of the module in a folder, as it is released.
func Build(module, program, output string) error {
	c := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", output, program)
	c.Dir = module
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s in %s: %w\n%s", program, module, err, out)
	}
	return nil
}

// VersionOf is what an etcd binary says its version is.
func VersionOf(t testing.TB, etcd string) string {
	t.Helper()
	said, err := exec.Command(etcd, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(said), "\n")
	return strings.TrimPrefix(line, "etcd Version: ")
}
