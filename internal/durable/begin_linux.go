package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// Begin has the system begin to write out length bytes of a file from an offset on, and waits for none of them: what is
// then left for Sync is the rest. It makes nothing durable, so how it went does not matter (sync_file_range(2)).
func Begin(f *os.File, offset, length int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, length, unix.SYNC_FILE_RANGE_WRITE)
}
