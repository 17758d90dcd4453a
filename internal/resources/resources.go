// Package resources says what a machine has left: room on its file systems, and memory.
package resources

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// Room is an error, with the numbers, where a folder's file system has less than that many bytes for this process.
func Room(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("cannot tell how much room %s has: %w", dir, err)
	}
	have := uint64(st.Bavail) * uint64(st.Bsize) //nolint:unconvert // both have another type on another system
	if have < uint64(need) {
		return fmt.Errorf("%s has room for %s (%d bytes), and %s (%d bytes) are needed: make room, or name another folder", dir, humanize.IBytes(have), have, humanize.IBytes(uint64(need)), need)
	}
	return nil
}

// Memory is what a process may take of this machine's, bytes: what the kernel calls available, and what its control group
// still allows. Where nobody says, known is false.
func Memory() (n int64, known bool) {
	n = math.MaxInt64
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if _, rest, found := strings.Cut(string(text), "MemAvailable:"); found {
			var kB int64
			if _, err := fmt.Sscanf(rest, "%d kB", &kB); err == nil {
				n = kB << 10
			}
		}
	}
	if text, err := os.ReadFile("/proc/self/cgroup"); err == nil { // "0::/path" with control groups v2
		if at, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "0::"); ok {
			if limit := groupNumber(at, "memory.max"); limit > 0 {
				n = min(n, max(0, limit-groupNumber(at, "memory.current")))
			}
		}
	}
	return n, n < math.MaxInt64
}

// Spare is half of [Memory], for what may take as much as that beside a member that serves on the same machine.
func Spare() int64 {
	n, _ := Memory()
	return n / 2
}

// groupNumber reads a number of a control group; 0 where there is none, "max" included.
func groupNumber(group, name string) int64 {
	text, err := os.ReadFile("/sys/fs/cgroup" + group + "/" + name)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}
