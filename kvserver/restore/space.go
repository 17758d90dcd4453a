package restore

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"go.etcd.io/etcd/server/v3/storage/wal"
)

// margin is what is left free beside what is written: bolt writes a page anew
// before it frees the old one, and grows its file by 16 MiB at a time.
const margin = 64 << 20

// room is an error, with the numbers, where a database of that size and its log do not
// fit. The log takes the space of its first file at once, and of the one after it while it is open.
func room(s staging, database int64) error {
	logs := 2 * wal.SegmentSizeBytes
	if s.wal == "" {
		return roomFor(s.data, database+logs+margin)
	}
	same, err := sameFileSystem(s.data, s.wal)
	if err != nil {
		return err
	}
	if same {
		return roomFor(s.data, database+logs+margin)
	}
	return errors.Join(roomFor(s.data, database+margin), roomFor(s.wal, logs+margin))
}

// roomFor is an error where a folder's file system has less than that many bytes for this process.
func roomFor(dir string, need int64) error {
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

func sameFileSystem(a, b string) (bool, error) {
	var one, other unix.Stat_t
	if err := errors.Join(unix.Stat(a, &one), unix.Stat(b, &other)); err != nil {
		return false, err
	}
	return one.Dev == other.Dev, nil
}
