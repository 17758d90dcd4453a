// Package datadir reads what a member keeps in its data directory: whether
// there is a member, who it is, how far its log goes. It opens nothing for
// writing, takes no lock that a member could wait for longer than a few
// milliseconds, and changes nothing, so it may look while a member runs.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
)

// WALDir is where the WAL lies: walDir, or etcd's own place inside the data
// directory where that is empty (config.ServerConfig.WALDir).
func WALDir(dataDir, walDir string) string {
	if walDir != "" {
		return walDir
	}
	return filepath.Join(dataDir, "member", "wal")
}

func snapDir(dataDir string) string { return filepath.Join(dataDir, "member", "snap") }

// Database is where the database lies in a data directory.
func Database(dataDir string) string { return filepath.Join(snapDir(dataDir), "db") }

// Initialised reports whether a data directory holds a member, by etcd's own
// rule (wal.Exist): there are WAL files. Data that has been applied without a
// WAL beside it is an error: the WAL's file system may not be mounted, and etcd
// would bootstrap over the data. (An interrupted join, or a start that etcd
// refused, leaves an empty database without a WAL; that is no member.)
func Initialised(dataDir, walDir string) (bool, error) {
	snap, walDir := snapDir(dataDir), WALDir(dataDir, walDir)
	wals, err := withSuffix(walDir, ".wal")
	if err != nil {
		return false, err
	}
	if len(wals) > 0 {
		return true, nil
	}
	lost := func(what string) error {
		return fmt.Errorf("%s holds %s, but there is no WAL in %s: is its file system mounted? If the data is to be given up, move %s away and run quorate apply", snap, what, walDir, dataDir)
	}
	snaps, err := withSuffix(snap, ".snap")
	if err != nil {
		return false, err
	}
	if len(snaps) > 0 {
		return false, lost("raft snapshots")
	}
	index, err := consistentIndex(Database(dataDir))
	if err != nil {
		return false, err
	}
	if index > 0 {
		return false, lost(fmt.Sprintf("a database (applied up to index %d)", index))
	}
	return false, nil
}

// HasDatabase reports whether a data directory holds a member's database. An empty file is none: etcd makes one
// before it writes to it.
func HasDatabase(dataDir string) (bool, error) {
	info, err := os.Stat(Database(dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Size() > 0, err
}

// Identity reads cluster and member id out of the WAL's metadata record, which
// stands at the head of each of its files: a few kilobytes of the newest one. A
// running member does not mind. Without a WAL it is an error.
func Identity(dataDir, walDir string) (clusterID, memberID uint64, err error) {
	walDir = WALDir(dataDir, walDir)
	names, err := withSuffix(walDir, ".wal")
	if err != nil {
		return 0, 0, err
	}
	if len(names) == 0 {
		return 0, 0, fmt.Errorf("there is no WAL in %s", walDir)
	}
	path := filepath.Join(walDir, slices.Max(names)) // names begin with a sequence number of fixed width
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	// The record of the previous file's checksum comes first, then the metadata (wal.Create, wal.cut).
	d := wal.NewDecoder(fileutil.NewFileReader(f))
	for range 2 {
		var r walpb.Record
		if err := d.Decode(&r); err != nil {
			return 0, 0, fmt.Errorf("cannot read %s: %w", path, err)
		}
		switch r.GetType() {
		case wal.CrcType:
			d.UpdateCRC(r.GetCrc())
		case wal.MetadataType:
			return identity(r.Data)
		}
	}
	return 0, 0, fmt.Errorf("cannot read %s: it does not begin with the member's ids", path)
}

func identity(metadata []byte) (clusterID, memberID uint64, err error) {
	var m etcdserverpb.Metadata
	if err := proto.Unmarshal(metadata, &m); err != nil {
		return 0, 0, fmt.Errorf("cannot read the member's ids: %w", err)
	}
	return m.GetClusterID(), m.GetNodeID(), nil
}

// withSuffix lists names in a folder, sorted; none if there is no folder.
func withSuffix(dir, suffix string) ([]string, error) {
	names, err := fileutil.ReadDir(dir, fileutil.WithExt(suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}
