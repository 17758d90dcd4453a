package kvserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// RestoreMarkFormat is the format of a [RestoreMark].
const RestoreMarkFormat = 1

// RestoreFile is the name of a [RestoreMark], beside the [Mark] of its host.
const RestoreFile = "restore.json"

// RestoreMark is what a host holds while its cluster is being restored from a
// snapshot: the first thing that is written on every host, and the last that is removed. Everything that is
// needed to finish the restore or to undo it is in it, so that anybody who has the spec can. Where it is,
// `kvserver serve` starts a member only as its Stage says. There are no secrets in it.
type RestoreMark struct {
	Format int          `json:"format"`
	Run    string       `json:"run"` // id of the run that began it
	At     time.Time    `json:"at"`  // when that was, UTC, to the second
	By     string       `json:"by"`  // user@machine
	Stage  RestoreStage `json:"stage"`

	Snapshot RestoreSource `json:"snapshot"`
	// Token and InitialCluster are what the data is made with; ClusterID and Members, ids by name, follow from them. See [ID].
	Token          string            `json:"token"`
	InitialCluster string            `json:"initial_cluster"`
	ClusterID      string            `json:"cluster_id"`
	Members        map[string]string `json:"members"`
	// Revision is the newest one afterwards and CompactRevision the one up to which history is gone; Bumped says that both
	// are above whatever was known of the cluster.
	Revision        int64 `json:"revision"`
	CompactRevision int64 `json:"compact_revision"`
	Bumped          bool  `json:"bumped"`
	// NoSpace says that the alarm NOSPACE stands in the snapshot, and so in what is made of it: it is ended before the mark goes.
	NoSpace bool `json:"no_space,omitempty"`
	// Voters that the cluster had when this began, so that an undo can wait for a quorum of them; 0: it had none.
	Voters int `json:"voters"`
	// Dependents ran when this began, in the order in which they are stopped, and started.
	Dependents []RestoreDependents `json:"dependents,omitempty"`

	// DataDir and WALDir are this host's folders, WALDir "" where the log is inside the other; Was is what it was before.
	DataDir string     `json:"data_dir"`
	WALDir  string     `json:"wal_dir,omitempty"`
	Was     RestoreWas `json:"was"`
}

// RestoreSource is the snapshot that a restore is from.
type RestoreSource struct {
	Name   string `json:"name"`              // for people
	SHA256 string `json:"sha256,omitempty"`  // of the file as it is sent, unpacked, in hex
	Size   int64  `json:"size,omitempty"`    // of that, bytes
	NoHash bool   `json:"no_hash,omitempty"` // it has no hash at its end: a copy of a member's database
	// Disk is the member's data that the snapshot is made of once nobody runs; SHA256 and Size are not known before.
	// nil: it is a file.
	Disk *RestoreDisk `json:"disk,omitempty"`
}

// RestoreDisk is the data of a member, as a recovery chose it.
type RestoreDisk struct {
	Member    string `json:"member"` // by its name, on whose host the data is
	ClusterID string `json:"cluster_id"`
	MemberID  string `json:"member_id"`
	// LastTerm and LastIndex are the end of its log, see [InspectedLog].
	LastTerm  uint64 `json:"last_term"`
	LastIndex uint64 `json:"last_index"`
}

// known reports whether it says what a restore is from.
func (s RestoreSource) known() bool {
	if d := s.Disk; d != nil {
		return d.Member != "" && d.LastIndex > 0 && s.SHA256 == ""
	}
	return s.Size > 0 && len(s.SHA256) == 64
}

// RestoreWas is what a host's manifest said before a restore.
type RestoreWas struct {
	Token     string `json:"token,omitempty"`
	ClusterID string `json:"cluster_id,omitempty"`
	MemberID  string `json:"member_id,omitempty"`
	Begins    int64  `json:"begins,omitempty"`
}

// RestoreStage is how far a restore has come on a host.
type RestoreStage string

// The stages. A member starts in none of them but those that say so.
const (
	RestoreStaging   RestoreStage = "staging"   // the new data is made, and takes the old one's place
	RestoreStarting  RestoreStage = "starting"  // the new data is in its place and may start
	RestoreUndoing   RestoreStage = "undoing"   // the old data goes back
	RestoreReturning RestoreStage = "returning" // the old data is in its place and may start
)

// Backwards reports whether an undo has begun.
func (s RestoreStage) Backwards() bool { return s == RestoreUndoing || s == RestoreReturning }

var runForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// ParseRestoreMark reads a mark. What is not whole is an error, not the absence of one.
func ParseRestoreMark(text []byte) (RestoreMark, error) {
	var m RestoreMark
	if err := json.Unmarshal(text, &m); err != nil {
		return RestoreMark{}, err
	}
	if m.Format != RestoreMarkFormat {
		return RestoreMark{}, fmt.Errorf("its format is %d, this version knows %d", m.Format, RestoreMarkFormat)
	}
	absolute := func(p string) bool { return path.IsAbs(p) && path.Clean(p) == p && p != "/" }
	switch {
	case !runForm.MatchString(m.Run) || m.At.IsZero() || m.At.Year() < 1000 || m.At.Year() > 9999:
		return RestoreMark{}, errors.New("it does not say which run began it")
	case !slices.Contains([]RestoreStage{RestoreStaging, RestoreStarting, RestoreUndoing, RestoreReturning}, m.Stage):
		return RestoreMark{}, fmt.Errorf("its stage is %q, which this version does not know", m.Stage)
	case !absolute(m.DataDir) || m.WALDir != "" && !absolute(m.WALDir):
		return RestoreMark{}, errors.New("it does not say where the data is")
	case m.Token == "" || m.InitialCluster == "" || len(m.Members) == 0 || m.Revision < 1 || !m.Snapshot.known():
		return RestoreMark{}, errors.New("it does not say what is restored")
	}
	ids := append(slices.Collect(maps.Values(m.Members)), m.ClusterID)
	if d := m.Snapshot.Disk; d != nil {
		ids = append(ids, d.ClusterID, d.MemberID, m.Members[d.Member])
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 16, 64); err != nil || n == 0 {
			return RestoreMark{}, fmt.Errorf("%q is no id", id)
		}
	}
	for _, d := range m.Dependents {
		if err := d.check(); err != nil {
			return RestoreMark{}, err
		}
	}
	return m, nil
}

// Encode is the mark's JSON, ending in a newline.
func (m RestoreMark) Encode() []byte {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		panic(err) // plain data, whose time was checked: cannot happen
	}
	return append(b, '\n')
}

// Same reports whether two hosts' marks are of one restore.
func (m RestoreMark) Same(o RestoreMark) bool { return string(m.common()) == string(o.common()) }

// common is what the marks of all hosts say alike.
func (m RestoreMark) common() []byte {
	m.Stage, m.DataDir, m.WALDir, m.Was, m.At = "", "", "", RestoreWas{}, m.At.UTC()
	return m.Encode()
}

// Staging is the name of the folder, inside the data directory and the WAL's, in which new data waits.
func (m RestoreMark) Staging() string { return ".restore-" + m.Run }

// Aside and Undone are the names below .aside that old data and undone data go to.
func (m RestoreMark) Aside() string  { return "before-restore-" + m.At.UTC().Format(BackupTime) }
func (m RestoreMark) Undone() string { return "undone-restore-" + m.At.UTC().Format(BackupTime) }
