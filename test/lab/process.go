package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process names one process of this kernel for good: a pid alone is used again.
type process struct {
	PID int `json:"pid"`
	// Start is field 22 of /proc/PID/stat, in clock ticks since boot.
	Start uint64 `json:"start"`
}

// lookProcess identifies the process that has this pid now.
func lookProcess(pid int) (process, error) {
	st, err := readStat(pid)
	if err != nil {
		return process{}, err
	}
	return process{PID: pid, Start: st.start}, nil
}

// alive says whether the process runs. A zombie does not: its parent is late, no more.
func (p process) alive() bool {
	if p.PID == 0 {
		return false
	}
	st, err := readStat(p.PID)
	return err == nil && st.start == p.Start && st.state != 'Z' && st.state != 'X'
}

// kill ends the process if it is still the same one, and waits until it is gone.
func (p process) kill(ctx context.Context) error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("cannot kill process %d: %w", p.PID, err)
	}
	return poll(ctx, 10*time.Second, fmt.Sprintf("process %d to end", p.PID), func() (bool, error) { return !p.alive(), nil })
}

// childOf returns the only child of pid; zero if there is none yet.
func childOf(pid int) (process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return process{}, err
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if st, err := readStat(n); err == nil && st.parent == pid && st.state != 'Z' {
			return process{PID: n, Start: st.start}, nil
		}
	}
	return process{}, nil
}

type stat struct {
	state  byte
	parent int
	start  uint64
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	// The command's name is in brackets and may hold anything, so count from its end.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 || len(f[0]) != 1 {
		return stat{}, fmt.Errorf("cannot read process %d: unexpected stat line %q", pid, b)
	}
	parent, parentErr := strconv.Atoi(f[1])
	start, startErr := strconv.ParseUint(f[19], 10, 64)
	if err := errors.Join(parentErr, startErr); err != nil {
		return stat{}, fmt.Errorf("cannot read process %d: %w", pid, err)
	}
	return stat{state: f[0][0], parent: parent, start: start}, nil
}

// poll asks until done says yes or fails; what names the thing waited for.
func poll(ctx context.Context, limit time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for wait := 2 * time.Millisecond; ; wait = min(wait*3/2, 25*time.Millisecond) {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, ctx.Err())
		case <-time.After(wait):
		}
	}
}
