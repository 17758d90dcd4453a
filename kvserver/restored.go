package kvserver

import (
	"fmt"
	"strings"
)

// RestoreReport is what `kvserver restore`, `kvserver replay` and `kvserver prove`
// write to standard output: one JSON object a line, each with one of these. The last line is the result; where there
// is none the command has failed, and says why on standard error.
type RestoreReport struct {
	Progress *RestoreProgress `json:"progress,omitempty"`
	Restored *Restored        `json:"restored,omitempty"`
	Replayed *Replayed        `json:"replayed,omitempty"`
	Proved   *Proved          `json:"proved,omitempty"`
}

// RestoreProgress is how far a part of the work has come.
type RestoreProgress struct {
	Part string `json:"part"` // "check", "restore", "copy", "write": what the bytes are read or written for
	Done int64  `json:"done"` // bytes
	Of   int64  `json:"of"`   // bytes
}

// Restored is a member's new data directory, as [Restored.DataDir] holds it. Ids are as in [ID].
type Restored struct {
	DataDir   string `json:"data_dir"`
	WALDir    string `json:"wal_dir"`
	ClusterID string `json:"cluster_id"`
	MemberID  string `json:"member_id"`
	// Members are the ids of all members by name. Whoever restores the same
	// snapshot with the same initial cluster and token gets the same.
	Members map[string]string `json:"members"`
	// Revision is the newest one, and CompactRevision the one that the data says it is
	// compacted up to. With a target both are the target: whoever watches from an earlier revision is told "compacted".
	Revision        int64 `json:"revision"`
	CompactRevision int64 `json:"compact_revision"`
	// Snapshot is what the file held. Its alarms, users and leases are in the data directory too.
	Snapshot SnapshotContent `json:"snapshot"`
	Size     int64           `json:"size"` // bytes of the database that was written
	Seconds  float64         `json:"seconds"`
}

// Replayed is a snapshot made of the disk of a member that is gone, with all that its log holds.
type Replayed struct {
	Snapshot  string `json:"snapshot"` // the file
	ClusterID string `json:"cluster_id"`
	MemberID  string `json:"member_id"`
	// LastTerm and LastIndex are the end of its log, up to which everything was applied; Committed is how far the disk
	// itself knew it to be committed: what is above would have been thrown away by etcd's force-new-cluster.
	LastTerm  uint64 `json:"last_term"`
	LastIndex uint64 `json:"last_index"`
	Committed uint64 `json:"committed"`
	// Torn is how many bytes were cut off at the end of the log: a record that was not written whole, and so never acknowledged.
	Torn int64 `json:"torn,omitempty"`
	// OldRequests are entries in the form of etcd's old API (v2), in which releases before 3.6 note names and
	// versions. They hold no keys, and were passed over.
	OldRequests int             `json:"old_requests,omitempty"`
	Content     SnapshotContent `json:"content"`
	Hash        uint32          `json:"hash"`   // as HashKV gives it at Content.Revision
	SHA256      string          `json:"sha256"` // of the file, hex
	Size        int64           `json:"size"`   // of the file, bytes
	Seconds     float64         `json:"seconds"`
}

// Proved is what came of restoring a snapshot and starting a server on it.
type Proved struct {
	// Agreed: everything that was expected is so, and the server answered. Where not, Differences says what, one line each.
	Agreed      bool            `json:"agreed"`
	Differences []string        `json:"differences,omitempty"`
	Content     SnapshotContent `json:"content"`
	Hash        uint32          `json:"hash"` // as HashKV gives it at Content.Revision
	Keys        int64           `json:"keys"` // that the server counted when it was read through a quorum's own way
	// RestoreSeconds is from the file to a data directory, ServeSeconds from there to the first answer.
	RestoreSeconds float64 `json:"restore_seconds"`
	ServeSeconds   float64 `json:"serve_seconds"`
	PeakMemory     int64   `json:"peak_memory"` // bytes: the most that the process had in memory (max RSS)
}

// Err is the differences as an error about the snapshot at path; nil where there are none.
func (p Proved) Err(path string) error {
	if p.Agreed {
		return nil
	}
	return fmt.Errorf("snapshot %q is not what it should be: %s", path, strings.Join(p.Differences, "; "))
}
