package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// privateDir is not needed here: private files are in memory.
func privateDir(string) (string, error) { return "", nil }

// privateFile keeps content where no other user can read it, for as long as this process lives and
// no longer, however it ends: in memory, under a name below /proc/self/fd.
func privateFile(_, name string, content []byte) (string, error) {
	fd, err := unix.MemfdCreate("quorate-"+name, unix.MFD_CLOEXEC)
	if err != nil {
		return "", os.NewSyscallError("memfd_create", err)
	}
	// Never closed: a finalizer of an os.File would do that.
	if n, err := unix.Write(fd, content); err != nil || n < len(content) {
		return "", fmt.Errorf("cannot keep %d bytes in memory: %w", len(content), err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), nil
}
