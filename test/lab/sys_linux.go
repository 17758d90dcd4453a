package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// inNamespace runs f on a thread that is in the network namespace at path.
// Sockets that f makes stay there. The thread is thrown away afterwards, so f
// must not start a process that minds its parent's thread.
func inNamespace(path string, f func() error) error {
	done := make(chan error, 1)
	onSpareThread(func() {
		ns, err := os.Open(path)
		if err != nil {
			done <- err
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("cannot enter network namespace %q: %w", path, err)
			return
		}
		done <- f()
	})
	return <-done
}

// onSpareThread runs f on a thread that ends with it. That must not be the
// process's first one, which cannot end and is what /proc/self shows.
func onSpareThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return // still locked: the thread ends with this goroutine
		}
		defer runtime.UnlockOSThread()
		done := make(chan struct{})
		go func() { // while the first thread is held here
			defer close(done)
			runtime.LockOSThread()
			f()
		}()
		<-done
	}()
}

func mountOverlay(lower, upper, work, target string) error {
	opts := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work
	return os.NewSyscallError("mount overlay", unix.Mount("overlay", target, "overlay", 0, opts))
}

func mountTmpfs(target string) error {
	return os.NewSyscallError("mount tmpfs", unix.Mount("tmpfs", target, "tmpfs", 0, "mode=0755"))
}

// unmount takes target away at once, also when somebody still looks into it.
func unmount(target string) error {
	err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil // not mounted
	}
	return os.NewSyscallError("umount", err)
}

// onOverlay says whether dir is itself on an overlay, which cannot carry another one's upper layer.
func onOverlay(dir string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false, os.NewSyscallError("statfs", err)
	}
	return int64(st.Type) == unix.OVERLAYFS_SUPER_MAGIC, nil
}

// detach makes cmd the leader of a session of its own: a terminal's Ctrl-C does not reach it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

func ownerOf(info os.FileInfo) (uid, gid int) {
	st := info.Sys().(*syscall.Stat_t)
	return int(st.Uid), int(st.Gid)
}

// tryNamespaces makes a network and a mount namespace for a program that does nothing.
func tryNamespaces() error {
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	return cmd.Run()
}

// inodeName is how nspawn calls its lock on a folder.
func inodeName(info os.FileInfo) string {
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("inode-%d:%d", st.Dev, st.Ino)
}
