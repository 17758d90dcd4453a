package provision

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"quorate/kvserver/node"
	"quorate/provision/host"
)

// FuzzStarted: whatever a machine says, processes have numbers, and names that are no paths; each once, sorted.
func FuzzStarted(f *testing.F) {
	f.Add([]byte("/proc/12/cmdline:1:/usr/bin/kube-apiserver\x00/proc/7/cmdline:1:kube-apiserver\x00/proc/7/cmdline:3:kube-apiserver\x00"))
	f.Add([]byte("/proc/self/cmdline:1:x\x00/proc/-1/cmdline:1:x\x00/proc/1/cmdline:1:\x00a:b\x00:"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		for name, pids := range started(lines) {
			if strings.Contains(name, "/") || len(pids) == 0 || pids[0] < 1 || !slices.IsSorted(pids) || len(slices.Compact(slices.Clone(pids))) != len(pids) {
				t.Errorf("%q: %v", name, pids)
			}
		}
	})
}

// TestProcessesAreFound: the command that a machine is asked with finds a process by the whole of its name, however that is longer
// than what the kernel keeps of it, and none that only has the name among its arguments.
func TestProcessesAreFound(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("hosts of dependents are Linux, which has /proc")
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("there is no sleep to be started")
	}
	dir := t.TempDir()
	name := "kube-controller-manager.of-a-test+" + filepath.Base(filepath.Dir(dir))
	if err := os.Symlink(sleep, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	look := func(names ...string) map[string][]int {
		p := processesProbe(names)
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd := exec.Command(p.Argv[0], p.Argv[1:]...)
		cmd.Stdout = &out
		_ = cmd.Run() // what it found counts
		found, err := processes(&host.Look{Probes: map[string]node.ProbeState{probeProcesses: {Ran: true, Code: cmd.ProcessState.ExitCode(), Stdout: out.Bytes()}}}, names)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := look(name); len(got) > 0 {
		t.Fatalf("before it was started: %v", got)
	}
	cmd := exec.Command(filepath.Join(dir, name), "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if got := look(name, "kube-proxy-of-nobody"); len(got) != 1 || !slices.Equal(got[name], []int{cmd.Process.Pid}) {
		t.Errorf("process %d is found as %v", cmd.Process.Pid, got)
	}
	if got := look(name[:15], "1000"); len(got) > 0 {
		t.Errorf("by a part of its name, or an argument: %v", got)
	}
}
