package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quorate/plan"
)

// A terminal that is closed under a run (SIGHUP, and every write to it fails):
// the step in flight finishes, the run ends as interrupted, the next one goes on.
func TestClosedTerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeOneMember(t, dir, "")
	o := newOperator(t, dir)
	mine, theirs := openTerminal(t)
	c := o.command("apply", "-y")
	c.Stdin, c.Stdout, c.Stderr = theirs, theirs, theirs
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	stuck := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
	defer stuck.Stop()
	var seen strings.Builder
	b := make([]byte, 4096)
	for !strings.Contains(seen.String(), "bootstrap with etcd1 ") { // its clock is drawn: it is in flight
		n, err := mine.Read(b)
		if err != nil {
			t.Fatalf("%v: %s", err, seen.String())
		}
		// Past the plan, which names the step as well.
		if seen.Write(b[:n]); !strings.Contains(seen.String(), "done ") {
			seen.Reset()
		}
	}
	mine.Close()
	_ = c.Wait() // the code is looked at
	if got := c.ProcessState.ExitCode(); got != exitInterrupted && got != exitDone {
		t.Errorf("it ended with %v", c.ProcessState)
	}
	o.run(exitDone, "status")
	if out := o.run(exitDone, "plan"); strings.Contains(out, string(plan.KindStart)) || strings.Contains(out, "bootstrap") {
		t.Errorf("the step in flight was not finished: %s", out)
	}
	o.run(exitDone, "destroy", "-y")
}

// openTerminal makes a pseudoterminal of 100 columns.
func openTerminal(t *testing.T) (mine, theirs *os.File) {
	t.Helper()
	mine, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudoterminals here: %v", err)
	}
	fd := int(mine.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 100})
	}
	if err == nil {
		theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return mine, theirs
}
