package kvserver

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// SnapshotContent is what the database in a snapshot (or in member/snap/db)
// holds beside its keys and values, read from the file alone. Ids are as in
// [ID]. It says nothing about the values being right: that is a hash's, or a
// check's of each page.
type SnapshotContent struct {
	Revision int64 `json:"revision"` // of the keys; 1 in an empty one
	// Stored is the revision of the newest version that is stored; 0 where there is none. It is
	// below Revision where what came later was a deletion, and has been compacted away.
	Stored int64 `json:"stored"`
	// CompactRevision is the last one that a compaction was asked up to; 0: never.
	// Whoever watches from a revision below it is told "compacted".
	CompactRevision int64 `json:"compact_revision"`
	// Versions is how many versions of keys are stored, deletions among them. A
	// server keeps each in its memory (without the value).
	Versions int64 `json:"versions"`
	// Applied is the raft index it has been applied up to, Term the term of
	// that entry (0 where no etcd since 3.5 has written there).
	Applied uint64 `json:"applied"`
	Term    uint64 `json:"term,omitempty"`
	// Size and SizeInUse are bytes: the pages it has, and those that are not free.
	// The checksum at the end of a snapshot does not count.
	Size      int64 `json:"size"`
	SizeInUse int64 `json:"size_in_use"`
	// ClusterVersion ("3.7.0"; since etcd 3.5) and StorageVersion ("3.7.0", since
	// 3.6); empty where it has none. See [SnapshotContent.Writer].
	ClusterVersion string `json:"cluster_version,omitempty"`
	StorageVersion string `json:"storage_version,omitempty"`
	// Members of the cluster that it was taken from, sorted by id, and the ids
	// that had been removed from it. A restore keeps none of them.
	Members []InspectedMember `json:"members,omitempty"`
	Removed []string          `json:"removed,omitempty"`
	// Alarms that stood. A restore keeps them: NOSPACE refuses every write
	// until somebody disarms it, CORRUPT refuses also to read.
	Alarms []SnapshotAlarm `json:"alarms,omitempty"`
	// AuthEnabled: a client needs one of Users, or a certificate with the name of one. A restore keeps this.
	AuthEnabled bool     `json:"auth_enabled"`
	Users       []string `json:"users,omitempty"` // names only, sorted
	Leases      int      `json:"leases"`          // how many; their time begins anew with the first leader
}

// SnapshotAlarm is an alarm that a member had raised.
type SnapshotAlarm struct {
	Member string `json:"member"` // its id, as in [ID]; "0": all members
	Alarm  string `json:"alarm"`  // "NOSPACE", "CORRUPT", or a number that is not known here
}

// Writer is the minor version of etcd ("3.6") whose form the database has: the
// storage version where it has one (since 3.6), else that of the cluster, which no member was older than; "3.4" where it has
// neither, which stands for all before 3.5.
func (c SnapshotContent) Writer() string {
	return cmp.Or(Minor(c.StorageVersion), Minor(c.ClusterVersion), "3.4")
}

// Restorable is an error where a server of that minor version ("3.6") is not to be
// given what `kvserver restore` makes of a snapshot: it was written by a newer one.
//
// etcd promises to read what the minor version before has written, not what a later one has. 3.6
// does not start on the storage version 3.7; 3.4 and 3.5 do not know storage versions, start, and leave it
// standing, so that their next upgrade to 3.6 ends there. What is older is read by all: the restore gives it the
// membership and the consistent index that 3.4 to 3.7 understand, and a server adds the rest as at its
// upgrade. Proved for each pair by TestRestoreForEachRelease.
func Restorable(c SnapshotContent, server string) error {
	var have, want [2]int
	for of, text := range map[*[2]int]string{&have: c.Writer(), &want: server} {
		if _, err := fmt.Sscanf(text, "%d.%d", &of[0], &of[1]); err != nil {
			return fmt.Errorf("cannot tell whether etcd %s reads it: %q is no minor version", server, text)
		}
	}
	if slices.Compare(have[:], want[:]) > 0 {
		return fmt.Errorf("%w: etcd %s wrote it, and etcd %s is to read it: restore it for %s or later", ErrSnapshotNewer, c.Writer(), server, c.Writer())
	}
	return nil
}

// ErrSnapshotNewer: a snapshot is of a newer etcd than the server that is to read it.
var ErrSnapshotNewer = errors.New("the snapshot is newer than the server")
