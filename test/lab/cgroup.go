package lab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed script/watchdog.sh
var watchdogScript string

// cgroup is the path of the lab's control group in every hierarchy, v1 and v2.
func (l *Lab) cgroup() string { return "quorate-lab-" + l.state.ID }

func (h *Host) cgroup() string { return filepath.Join(h.lab.cgroup(), h.name) }

// startWatchdog starts the process that kills the hosts once this one is gone.
func (l *Lab) startWatchdog() error {
	cmd := exec.Command("sh", "-c", watchdogScript, "watchdog", l.cgroup())
	detach(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("cannot start the watchdog of lab %q: %w", l.ID(), err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the watchdog of lab %q: %w", l.ID(), err)
	}
	l.endWatchdog = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	return nil
}

const cgroupRoot = "/sys/fs/cgroup"

// groupDirs are a group's folders, one in each hierarchy that holds all
// processes of this machine: one with cgroup v2, several with v1.
func groupDirs(group string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{filepath.Join(cgroupRoot, group)}, nil
	}
	dirs, err := filepath.Glob(filepath.Join(cgroupRoot, "*/cgroup.procs"))
	for i, f := range dirs {
		dirs[i] = filepath.Join(filepath.Dir(f), group)
	}
	return dirs, err
}

// tryCgroups makes a group in every hierarchy and removes it again.
func tryCgroups() error {
	dirs, err := groupDirs("quorate-lab-try-" + newID())
	if err == nil && len(dirs) == 0 {
		err = fmt.Errorf("there is none at %s", cgroupRoot)
	}
	for _, dir := range dirs {
		if err != nil {
			return err
		}
		if err = os.Mkdir(dir, 0o755); err == nil {
			err = os.Remove(dir)
		}
	}
	return err
}

// removeCgroups removes a group with all below it from every hierarchy. The
// kernel lets go of the members of a killed host a little after their end.
func removeCgroups(ctx context.Context, group string) error {
	dirs, err := groupDirs(group)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		err := poll(ctx, 10*time.Second, "control group "+dir+" to be empty", func() (bool, error) {
			var below []string
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					below = append(below, path)
				}
				return nil // what vanishes meanwhile is well gone
			})
			if err != nil {
				return false, err
			}
			for _, d := range slices.Backward(below) {
				if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// cgroupPIDs lists the processes in a group and below it.
func cgroupPIDs(group string) ([]int, error) {
	var pids []int
	dirs, err := groupDirs(group)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() != "cgroup.procs" {
				return nil
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return nil // the group vanished meanwhile
			}
			for _, f := range strings.Fields(string(b)) {
				pid, err := strconv.Atoi(f)
				if err != nil {
					return fmt.Errorf("cannot read %q: %w", path, err)
				}
				if pid > 0 && isRunning(pid) { // 0: not of our pid namespace
					pids = append(pids, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

func isRunning(pid int) bool {
	st, err := readStat(pid)
	return err == nil && st.state != 'Z' && st.state != 'X'
}
