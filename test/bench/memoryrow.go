package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// padding makes a binary eight times as big, by bytes that do not compress.
const padding = 8

// memory is the most that quorate had resident: in a fresh apply and in a plan,
// with the binary as it is and with one that is eight times as big.
func memory(ctx context.Context, s *stage) ([]Result, error) {
	big, err := s.padded("kvserver", padding)
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, w := range []struct{ what, server string }{
		{"", ""},
		{fmt.Sprintf(", with a kvserver %d times as big", padding), fmt.Sprintf("server { binary = %q }", big)},
	} {
		if err := s.reset(ctx); err != nil {
			return results, err
		}
		if err := s.forget(); err != nil {
			return results, err
		}
		dir, err := s.spec(w.server)
		if err != nil {
			return results, err
		}
		for _, args := range [][]string{{"apply", "-y"}, {"plan", "--detailed-exitcode"}} {
			mb, err := s.peak(ctx, dir, args...)
			if err != nil {
				return results, err
			}
			results = append(results, Result{Work: "peak resident memory of quorate " + args[0] + ", 3 hosts" + w.what, Limit: 120, Unit: "MB", Measured: mb, Rounds: 1})
		}
	}
	info, err := os.Stat(s.bin("kvserver"))
	if err != nil {
		return results, err
	}
	n := info.Size()
	results[0].Notes = []string{fmt.Sprintf("VmHWM of the process, read every millisecond; kvserver is %d MB, the big one %d MB; nothing was compressed before", n/1e6, padding*n/1e6)}
	return results, nil
}

// padded makes a copy of a binary that is times as big.
func (b *bench) padded(name string, times int64) (string, error) {
	text, err := os.ReadFile(b.bin(name))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.dir, "big")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return "", err
	}
	_, err = io.CopyN(f, rand.Reader, (times-1)*int64(len(text)))
	return f.Name(), err
}

// peak runs quorate and returns its highest resident memory in MB.
func (s *stage) peak(ctx context.Context, dir string, args ...string) (float64, error) {
	cmd := s.op.Command(ctx, s.bin("quorate"), args...)
	cmd.Dir = dir
	return s.peakOf(cmd)
}

// peakOf runs a command that is or becomes quorate and returns its highest
// resident memory in MB. The kernel keeps the mark in /proc while the process lives, so what is missed is at
// most what it grew by in its last millisecond. (The usage that wait(2)
// reports would count this program's own memory, which the child had for a moment.)
func (b *bench) peakOf(cmd *exec.Cmd) (float64, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	proc := fmt.Sprintf("/proc/%d", cmd.Process.Pid)
	var most int64
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return 0, failed(cmd, err, out.Bytes())
			}
			return float64(most) / 1e6, nil
		case <-tick.C:
			// The same process is nsenter at first, then quorate.
			if exe, err := os.Readlink(proc + "/exe"); err == nil && exe == b.bin("quorate") {
				most = max(most, bytesIn(proc+"/status", "VmHWM"))
			}
		}
	}
}
