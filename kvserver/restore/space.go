package restore

import (
	"errors"

	"golang.org/x/sys/unix"

	"go.etcd.io/etcd/server/v3/storage/wal"

	"quorate/internal/resources"
)

// margin is what is left free beside what is written: bolt writes a page anew
// before it frees the old one, and grows its file by 16 MiB at a time.
const margin = 64 << 20

// room is an error, with the numbers, where a database of that size and its log do not
// fit. The log takes the space of its first file at once, and of the one after it while it is open.
func room(s staging, database int64) error {
	logs := 2 * wal.SegmentSizeBytes
	if s.wal == "" {
		return resources.Room(s.data, database+logs+margin)
	}
	same, err := sameFileSystem(s.data, s.wal)
	if err != nil {
		return err
	}
	if same {
		return resources.Room(s.data, database+logs+margin)
	}
	return errors.Join(resources.Room(s.data, database+margin), resources.Room(s.wal, logs+margin))
}

func sameFileSystem(a, b string) (bool, error) {
	var one, other unix.Stat_t
	if err := errors.Join(unix.Stat(a, &one), unix.Stat(b, &other)); err != nil {
		return false, err
	}
	return one.Dev == other.Dev, nil
}
