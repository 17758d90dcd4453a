// Package kvserver says what the served thing is: versions, members, status.
// Pure: no clock, file or socket. Below it: server (around etcd's embed
// package), datadir (what a member keeps on its disk), restore (data out of
// snapshots, and snapshots out of disks), admin (the client), keys (with their
// certificates), relay (the host's certificate, lent), supervise.
package kvserver

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// Member is a member as the cluster lists it.
type Member struct {
	ID         uint64   `json:"id"`
	Name       string   `json:"name,omitempty"` // empty: added and never started
	PeerURLs   []string `json:"peer_urls"`
	ClientURLs []string `json:"client_urls,omitempty"`
	Learner    bool     `json:"learner,omitempty"`
}

// Status is one member's own word about itself (Maintenance.Status).
type Status struct {
	ClusterID        uint64   `json:"cluster_id"`
	MemberID         uint64   `json:"member_id"`
	Version          string   `json:"version"`
	Leader           uint64   `json:"leader"` // 0: none known
	Learner          bool     `json:"learner,omitempty"`
	Revision         int64    `json:"revision"`
	RaftTerm         uint64   `json:"raft_term"`
	RaftIndex        uint64   `json:"raft_index"`
	RaftAppliedIndex uint64   `json:"raft_applied_index"`
	DBSize           int64    `json:"db_size"` // bytes
	DBSizeInUse      int64    `json:"db_size_in_use"`
	DBQuota          int64    `json:"db_quota,omitempty"`
	Alarms           []string `json:"alarms,omitempty"` // its own, see [Alarm]
	Errors           []string `json:"errors,omitempty"`
}

// Alarm is raised by one member, and stops the writes of all until it is disarmed. It outlives the member that raised it.
type Alarm struct {
	Member uint64 // id
	Kind   string // AlarmNoSpace or AlarmCorrupt
}

// The alarms that etcd raises (api/etcdserverpb, AlarmType). While NOSPACE stands it refuses puts and new leases, and
// takes deletions, compactions and defragmentation; while CORRUPT stands it refuses reads too.
const (
	AlarmNoSpace = "NOSPACE"
	AlarmCorrupt = "CORRUPT"
)

// Hash is a member's hash of its keys and values up to a revision
// (Maintenance.HashKV). What lies below the compact revision counts only as far
// as it is still there, so two hashes can be compared only if both revisions
// are the same; members that hold the same then have the same hash.
type Hash struct {
	Hash            uint32 `json:"hash"`
	Revision        int64  `json:"revision"`         // up to which
	CompactRevision int64  `json:"compact_revision"` // up to which the member had compacted, -1: never
}

// ConfigDigest is what a member runs with as one value: the sha256 (hex) over
// the digests of its configuration file and of its unit. The unit counts,
// since limits and sandbox are part of what runs.
func ConfigDigest(config, unit []byte) string {
	c, u := sha256.Sum256(config), sha256.Sum256(unit)
	return fmt.Sprintf("%x", sha256.Sum256(append(c[:], u[:]...)))
}

// Minor is the "major.minor" of a version ("3.7.3" or "v3.7.3-rc.0": "3.7"); "" when it is no version.
func Minor(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return ""
	}
	return parts[0] + "." + parts[1]
}
