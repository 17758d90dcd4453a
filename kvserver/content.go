package kvserver

// SnapshotContent is what the database in a snapshot (or in member/snap/db)
// holds beside its keys and values, read from the file alone. Ids are as in
// [ID]. It says nothing about the values being right: that is a hash's, or a
// check's of each page.
type SnapshotContent struct {
	Revision int64 `json:"revision"` // of the keys; 1 in an empty one
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
// storage version where it has one; "3.5" where it knows a term, as etcd's own
// schema.DetectSchemaVersion has it; "3.4" otherwise, which stands for all before 3.5.
func (c SnapshotContent) Writer() string {
	if v := Minor(c.StorageVersion); v != "" {
		return v
	}
	if c.Term > 0 || c.ClusterVersion != "" {
		return "3.5"
	}
	return "3.4"
}
