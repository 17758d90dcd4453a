package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"quorate/internal/durable"
	"quorate/kvserver"
	"quorate/kvserver/datadir"
)

// FormedFiles are what [Formed] works on.
type FormedFiles struct {
	Bootstrap       string // removed; may be empty or not exist
	Mark            string
	DataDir, WALDir string // WALDir empty: inside DataDir
}

// Formed notes that this host's member has served: it writes the mark with the
// ids that the member's own WAL has, and then removes the bootstrap file. It is
// run each time the member is ready, beside the running member, and by
// root where the member may not write there.
//
// A mark that says the same ids already stays as it is, time included. Nothing
// is removed before the mark is durable. Cut anywhere and run again, it
// finishes; run twice, the second changes nothing.
func Formed(f FormedFiles, now time.Time) error {
	fail := func(err error) error { return fmt.Errorf("cannot note that the member has served: %w", err) }
	if f.Mark == "" || f.DataDir == "" {
		return fail(errors.New("it wants a mark and a data directory"))
	}
	cluster, member, err := datadir.Identity(f.DataDir, f.WALDir)
	if err != nil {
		return fail(err)
	}
	m := kvserver.Mark{Format: kvserver.MarkFormat, ClusterID: kvserver.ID(cluster), MemberID: kvserver.ID(member), At: now.UTC().Truncate(time.Second)}
	there, err := readMark(f.Mark)
	if err == nil && there != nil && there.ClusterID == m.ClusterID && there.MemberID == m.MemberID {
		err = durable.SyncDir(filepath.Dir(f.Mark)) // an earlier run may have been cut before this
	} else {
		err = writeMark(f.Mark, m) // also over one that cannot be read: the WAL knows better
	}
	if err != nil {
		return fail(err)
	}
	if f.Bootstrap == "" {
		return nil
	}
	err = os.Remove(f.Bootstrap)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(f.Bootstrap))
	}
	if err != nil {
		return fmt.Errorf("cannot remove the bootstrap file of a member that has served: %w", err)
	}
	return nil
}

func writeMark(path string, m kvserver.Mark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	// Readable for the member's own account, which reads it at its start.
	return durable.Write(durable.File{Path: path, Mode: 0o644, UID: -1, GID: -1, Content: append(text, '\n')})
}
