package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"quorate/kvserver/servertest"
)

// sayParentDeath asks the stand-in for an upstream etcd what it would get if its parent died.
const sayParentDeath = "QUORATE_TEST_PARENT_DEATH"

func init() {
	if os.Getenv(sayParentDeath) != "" && filepath.Base(os.Args[0]) == "etcd" {
		var sig int32
		if err := unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&sig)), 0, 0, 0); err != nil {
			fmt.Println(err)
		}
		fmt.Println(unix.Signal(sig))
		os.Exit(0)
	}
}

// What the supervisor asked the kernel for holds through the second stage,
// whichever thread the scheduler has the first one on.
func TestParentDeathSurvivesTheSecondStage(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // the parent is a thread
	defer runtime.UnlockOSThread()
	m := servertest.New(t, 1).Members[0]
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	etcd := filepath.Join(t.TempDir(), "etcd")
	if err := os.Symlink(exe, etcd); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		c := exec.Command(exe, "serve", "--config-file", m.ConfigFile, "--bootstrap-file", m.BootstrapFile, "--unit-file", m.UnitFile, "--etcd", etcd)
		c.Env = append(os.Environ(), "QUORATE_SERVERTEST_MAIN=1", sayParentDeath+"=1")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		out, err := c.CombinedOutput()
		if err != nil || !strings.HasSuffix(string(out), "terminated\n") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}
