package kvserver

// Inspection is what a data directory says of the member in it, read from the
// disk alone: `kvserver inspect` writes one as JSON. Ids are as in [ID]. What
// could not be read is absent, never zero or false, and Problems says why.
type Inspection struct {
	DataDir string `json:"data_dir"`
	WALDir  string `json:"wal_dir"`
	// Member: there is one, by etcd's own rule: there are WAL files. All that
	// follows is about that member.
	Member bool `json:"member"`
	// Running: a process has the database open. DB is absent then, and Log is
	// of a moment ago.
	Running   bool   `json:"running"`
	ClusterID string `json:"cluster_id,omitempty"`
	MemberID  string `json:"member_id,omitempty"`
	// BootstrapOnly: it has been shown that this member's log holds the entries
	// that etcd's static bootstrap put there, and nothing else: no leader has
	// ever sent it anything, and it has acknowledged nothing. It is false where
	// this is not so and also where it cannot be shown.
	//
	// The rule, from raft's RawNode.Bootstrap and etcd's bootstrap.go: a member
	// that starts as new appends one EntryConfChange (ConfChangeAddNode) for
	// each of the n initial members, at term 1 and the indices 1 to n, with a
	// hard state that commits them; a leader's first act is an entry of its own
	// at a term of 2 or more. So the log begins at its beginning, has 1 to n of
	// these and no other entry and no snapshot, commits no more than n, and the
	// database, if it can be read, is applied no further and at revision 1 at most. The
	// term does not count: it rises with each vote, also where nobody wins.
	//
	// It speaks of this disk alone. That the cluster never acknowledged a write
	// is shown by a quorum of the initial members being so (what is committed
	// is on a quorum, and two quorums meet).
	//
	// A log without any entry (Log.LastIndex 0) is false too: a first start that
	// was cut at once and a member that is to join and has received nothing yet look the same.
	BootstrapOnly bool          `json:"bootstrap_only"`
	Log           *InspectedLog `json:"log,omitempty"`
	DB            *InspectedDB  `json:"db,omitempty"`
	// Members as the database has them; where that cannot be read and the log
	// has its beginning, as its committed entries make them (without client URLs). Sorted by
	// id. Absent if neither tells.
	Members []InspectedMember `json:"members,omitempty"`
	// Removed ids, sorted; they can never come back into this cluster.
	Removed []string `json:"removed,omitempty"`
	// Checked: the whole log and each page of the database were read, and Problems has all that is
	// damaged there. Only with `kvserver inspect --check`, of a member that does not run.
	Checked bool `json:"checked,omitempty"`
	// Damaged: one of Problems is damage, so that etcd would not start with this data, or not serve all of it. A torn last
	// record is none: etcd cuts it off.
	Damaged bool `json:"damaged,omitempty"`
	// Problems in words, each one line: what is damaged or missing, and what
	// could not be read.
	Problems []string `json:"problems,omitempty"`
}

// InspectedLog is the end of a WAL.
type InspectedLog struct {
	Term uint64 `json:"term"` // of the hard state
	// Commit is the last committed index that was written down. More may be
	// committed: raft does not write this down by itself.
	Commit uint64 `json:"commit"`
	// LastTerm and LastIndex are of the last entry (or of a snapshot from the
	// leader after it); 0 where there has been none. Raft's order: the disk with the
	// higher (term, index) has all that the other may have acknowledged.
	LastTerm  uint64 `json:"last_term"`
	LastIndex uint64 `json:"last_index"`
	// Vote is the id of the member that it voted for in Term; empty: for nobody.
	Vote string `json:"vote,omitempty"`
}

// InspectedDB is what the database (member/snap/db) says.
type InspectedDB struct {
	Applied  uint64 `json:"applied"`  // raft index it has been applied up to (the consistent index)
	Revision int64  `json:"revision"` // of the keys; 1 in an empty one
	// CompactRevision is the last one that a compaction was asked up to; 0: never.
	CompactRevision int64 `json:"compact_revision,omitempty"`
	Size            int64 `json:"size"` // bytes of its pages
	// SizeInUse are the bytes of those that are not free; 0 unless the member was checked.
	SizeInUse int64 `json:"size_in_use,omitempty"`
	// Hash is what HashKV would give at Revision; only with `kvserver inspect --hash`.
	Hash *uint32 `json:"hash,omitempty"`
	// ClusterVersion ("3.7.0"; since etcd 3.5) and StorageVersion ("3.7.0", since
	// 3.6: which releases can read it); empty where it has none.
	ClusterVersion string `json:"cluster_version,omitempty"`
	StorageVersion string `json:"storage_version,omitempty"`
}

// InspectedMember is a member as a disk knows it.
type InspectedMember struct {
	ID         string   `json:"id"`
	Name       string   `json:"name,omitempty"` // empty: added and never started, as far as this disk knows
	PeerURLs   []string `json:"peer_urls"`
	ClientURLs []string `json:"client_urls,omitempty"`
	Learner    bool     `json:"learner,omitempty"`
}
