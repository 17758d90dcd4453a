package restore

import (
	"fmt"
	"runtime"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"quorate/internal/resources"
	"quorate/kvserver"
)

// What a server that is opened on a database needs of memory that nothing else has: its index, by
// the number of stored versions, and what the process has anyway. A million keys of 30 bytes took 341 MiB beside the pages
// of their file, which come and go with what is free, and 38 MiB without any (TestProveMemory in cmd/kvserver).
const (
	perVersion = 400
	perProcess = 96 << 20
)

// memoryFor is an error, with the numbers, where this machine has not the memory that a server on that database
// needs. Where it does not say how much it has, nothing is refused.
func memoryFor(c kvserver.SnapshotContent) error {
	have, known := resources.Memory()
	need := int64(perProcess) + perVersion*c.Versions
	if known && have < need {
		return fmt.Errorf("a server needs about %s of memory for its %d stored versions of keys, and %s are available: prove it on another machine", humanize.IBytes(uint64(need)), c.Versions, humanize.IBytes(uint64(have)))
	}
	return nil
}

// peakMemory is the most that this process has had in memory, in bytes; 0 where that is not known.
func peakMemory() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss) // bytes there, KiB elsewhere
	}
	return int64(u.Maxrss) << 10
}
