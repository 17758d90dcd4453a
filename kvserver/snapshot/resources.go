package snapshot

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// room sees that a file system has that many bytes for us.
func room(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("cannot see how much room there is in %s: %w", dir, err)
	}
	if free := int64(st.Bavail) * int64(st.Bsize); free < need {
		return fmt.Errorf("%s has %s free, and it takes %s: free some, or name a folder elsewhere", dir, humanize.IBytes(uint64(free)), humanize.IBytes(uint64(need)))
	}
	return nil
}

// spareMemory is what we may take of this machine's memory, bytes: half of what the kernel calls available and of what
// the control group still allows, since a member that serves may be on the same host. Where nobody says, it is not bounded.
func spareMemory() int64 {
	spare := int64(math.MaxInt64)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
				if kB, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64); err == nil {
					spare = kB << 10
				}
			}
		}
	}
	if text, err := os.ReadFile("/proc/self/cgroup"); err == nil { // "0::/path" with control groups v2
		if at, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "0::"); ok {
			limit, used := groupNumber(at, "memory.max"), groupNumber(at, "memory.current")
			if limit > 0 {
				spare = min(spare, max(0, limit-used))
			}
		}
	}
	if spare == math.MaxInt64 {
		return spare
	}
	return spare / 2
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
