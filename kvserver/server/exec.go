package server

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"quorate/kvserver/node"

	"golang.org/x/sys/unix"
)

// The kernel keeps for each thread which signal it gets when its parent dies
// (prctl(2), PR_SET_PDEATHSIG), and after an exec there is only the thread that
// asked for it. A supervisor's child must therefore become the second stage on
// its first thread, the one that the supervisor started; else it outlives a
// supervisor that was killed. Only here can the main goroutine be kept there.
func init() { runtime.LockOSThread() }

// stageEnv tells the second stage of this process from a first one whose
// parent happened to be a second stage: "PID:FD". Its settings come through
// that file descriptor, so that what it runs with is what was digested.
const stageEnv = "QUORATE_SERVE_STAGE"

// second returns the settings that the first stage of this very process handed
// over, or nil if this is the first stage.
func second(environ []string, pid int) ([]byte, error) {
	value := lookup(environ, stageEnv)
	id, fd, ok := strings.Cut(value, ":")
	if !ok || id != strconv.Itoa(pid) {
		return nil, nil
	}
	n, err := strconv.Atoi(fd)
	if err != nil {
		return nil, fmt.Errorf("cannot take over from the first stage: %w", err)
	}
	f := os.NewFile(uintptr(n), "settings")
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("cannot take over from the first stage: %w", err)
	}
	return content, nil
}

// become replaces this process by the one that serves: this binary again, or
// the upstream etcd at path etcd, in either case with the digest in its
// environment, so that /proc/PID/environ tells what runs. notify (lines of
// sd_notify) is told as well, for where there is no /proc. It returns only on
// failure, and it belongs into the main goroutine.
func become(l Loaded, argv, environ []string, etcd string, notify func(string)) error {
	env := without(environ, node.ConfigDigestEnv, stageEnv)
	if l.Digest != "" {
		env = append(env, node.ConfigDigestEnv+"="+l.Digest)
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this binary: %w", err)
	}
	r, err := pipeOf(l.Settings)
	if err != nil {
		return err
	}
	if _, err := unix.FcntlInt(r.Fd(), unix.F_SETFD, 0); err != nil { // survives the exec
		return fmt.Errorf("cannot hand the configuration over: %w", err)
	}
	target := exe
	if etcd == "" {
		env = append(env, fmt.Sprintf("%s=%d:%d", stageEnv, os.Getpid(), r.Fd()))
	} else {
		target = etcd
		// etcd refuses nothing silently here: with a configuration file it
		// ignores its ETCD_* variables, but for ETCD_UNSUPPORTED_ARCH.
		argv = []string{etcd, "--config-file", fdPath(r)}
	}
	notify("X_QUORATE_CONFIG_DIGEST=" + l.Digest + "\nX_QUORATE_EXE=" + target)
	err = syscall.Exec(selfOr(target, exe), argv, env)
	return fmt.Errorf("cannot run %s: %w", target, err)
}

// selfOr names the binary to run: target, or, where that is this binary and
// the file at its path was replaced since this process started, the inode that
// runs. (Always the latter would do too, but the process would be called "exe".)
func selfOr(target, exe string) string {
	const self = "/proc/self/exe"
	if target != exe {
		return target
	}
	running, err := os.Stat(self)
	if err != nil {
		return target
	}
	if there, err := os.Stat(target); err == nil && os.SameFile(running, there) {
		return target
	}
	return self
}

func lookup(environ []string, key string) string {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v
		}
	}
	return ""
}

func without(environ []string, keys ...string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return slices.Contains(keys, key)
	})
}
