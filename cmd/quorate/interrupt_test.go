package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Ctrl-C while waiting for another run: it ends at once, with its own exit
// code, and nothing was touched.
func TestInterruptedWait(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("/proc tells whether the lock is being waited for")
	}
	dir := t.TempDir()
	text := "cluster \"one\" {\n  connection { type = \"local\" }\n  member \"etcd1\" { address = \"127.0.0.1\" }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ".quorate/one/etcd1.lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}

	c := newOperator(t, dir).command("apply", "-y", "--lock-timeout", "10m")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
	defer stuck.Stop()
	for deadline := time.Now().Add(time.Minute); !holdsOpen(c.Process.Pid, path); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to the lock: %s", out.String())
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // the code is looked at
	if got := c.ProcessState.ExitCode(); got != exitInterrupted {
		t.Errorf("exit code %d: %s", got, out.String())
	}
	if !strings.Contains(out.String(), "stopping… (once more to leave at once)") {
		t.Errorf("it said %q", out.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "pki")); err == nil {
		t.Error("something was made")
	}
}

// holdsOpen reports whether a process, or a child of it, has a file open.
func holdsOpen(pid int, path string) bool {
	pids := []string{fmt.Sprint(pid)}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		pids = append(pids, strings.Fields(string(b))...)
	}
	for _, p := range pids {
		fds, _ := filepath.Glob("/proc/" + p + "/fd/*")
		for _, fd := range fds {
			if at, err := os.Readlink(fd); err == nil && at == path {
				return true
			}
		}
	}
	return false
}
