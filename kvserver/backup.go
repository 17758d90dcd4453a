package kvserver

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// BackupFormat is the format of a [Backup].
const BackupFormat = 1

// Backup is what is known of one backup. Its JSON lies beside the file, as
// NAME.json, and is written last: a file without one is none of ours, or was
// never finished. There are no secrets in it.
type Backup struct {
	Format int `json:"format"`
	// Name of the file: <cluster>-<when>-<member>.db.zst, and .age behind it where it is encrypted.
	Name string `json:"name"`
	// Cluster and Member are the spec's names of what it was taken from, the ids etcd's, see [ID].
	Cluster   string    `json:"cluster"`
	Member    string    `json:"member"`
	ClusterID string    `json:"cluster_id"`
	MemberID  string    `json:"member_id"`
	At        time.Time `json:"at"`      // when it was begun, by the host's clock, UTC, to the second
	Version   string    `json:"version"` // of the etcd that gave it
	Tool      string    `json:"tool"`    // version of the kvserver that took it
	// SpecDigest is of the spec that was applied there last; "" if nobody knows.
	SpecDigest string `json:"spec_digest,omitempty"`
	// Content of the database.
	Content SnapshotContent `json:"content"`
	// Keys that exist at Content.Revision. Hash is what HashKV gives for it there, computed from the file.
	// Both are absent where the host lacked the memory; Unhashed says so.
	Keys     int64  `json:"keys,omitempty"`
	Hash     *Hash  `json:"hash,omitempty"`
	Unhashed string `json:"unhashed,omitempty"`
	// Compared says what the living member's own hash came to.
	Compared Compared `json:"compared"`
	// Size of the snapshot as etcd gives it, bytes, and the SHA-256 (hex) that it has at its end, over the bytes before it.
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// PackedSize and PackedSHA256 are of the file as it lies there.
	PackedSize   int64  `json:"packed_size"`
	PackedSHA256 string `json:"packed_sha256"`
	Encrypted    bool   `json:"encrypted,omitempty"`
	// Files are what else belongs to it, by path from the spec's folder: the spec, without secrets, the public CA, and, where that was
	// asked for, the CA's key, encrypted.
	Files map[string]string `json:"files,omitempty"`
}

// Compared is what comparing a backup's hash with that of the member that it was taken from came to.
type Compared struct {
	Result ComparedResult `json:"result"`
	// Why it could not be compared, or how they differ; "" where they agree.
	Why string `json:"why,omitempty"`
}

// ComparedResult is that in a word.
type ComparedResult string

// The results.
const (
	Agreed      ComparedResult = "agreed"
	Disagreed   ComparedResult = "disagreed"
	NotCompared ComparedResult = "not-compared"
)

// BackupRequest is what `kvserver snapshot` reads: where the member of its host
// is, and where the backup goes. Passphrase is a secret: it goes to the
// command's standard input only.
type BackupRequest struct {
	Dir     string `json:"dir"` // absolute; made if missing, mode 0700
	Cluster string `json:"cluster"`
	Member  string `json:"member"`
	// Address (host:port) of the member's API, and what it is asked with: files on this host.
	Address string `json:"address"`
	CA      string `json:"ca"`
	Cert    string `json:"cert"`
	Key     string `json:"key"`

	SpecDigest string            `json:"spec_digest,omitempty"`
	Files      map[string]string `json:"files,omitempty"`
	// Recipients, or the passphrase, that it is encrypted for; neither: it is not.
	Recipients []string `json:"recipients,omitempty"`
	Passphrase string   `json:"passphrase,omitempty"`
}

// BackupStage is what is being done.
type BackupStage string

// The stages of taking or verifying a backup.
const (
	StageReceive BackupStage = "receive" // from the member, or out of the packed file
	StageRead    BackupStage = "read"    // the database
	StageCompare BackupStage = "compare" // with the living member
	StageWrite   BackupStage = "write"   // make it durable
)

// BackupLine is one line of what `kvserver snapshot` prints: progress, and at the end the backup.
type BackupLine struct {
	Stage BackupStage `json:"stage,omitempty"`
	Done  int64       `json:"done,omitempty"`  // bytes
	Total int64       `json:"total,omitempty"` // 0: not known
	// Backup ends the lines of a good end.
	Backup *Backup `json:"backup,omitempty"`
}

// Form is how a file holds a snapshot.
type Form struct {
	Compressed string `json:"compressed,omitempty"` // "zstd", "gzip" or ""
	Encrypted  bool   `json:"encrypted,omitempty"`
}

// Packed reports whether the snapshot has to be unpacked to be read.
func (f Form) Packed() bool { return f.Compressed != "" || f.Encrypted }

// Verified is what verifying came to. All of it was read from the file.
type Verified struct {
	Form    Form            `json:"form"`
	Size    int64           `json:"size"`             // of the snapshot, bytes
	SHA256  string          `json:"sha256,omitempty"` // that it has at its end; "" with NoHash
	Content SnapshotContent `json:"content"`
	Keys    int64           `json:"keys"`
	Hash    Hash            `json:"hash"`
	// Metadata that lies beside it, which all of this agrees with; nil: none.
	Metadata *Backup `json:"metadata,omitempty"`
}

// ListedBackup is a file in a folder of backups.
type ListedBackup struct {
	Name string `json:"name"`
	// Size of the file, bytes; -1: it is not there.
	Size int64 `json:"size"`
	// Backup is what its metadata says; nil: it has none.
	Backup *Backup `json:"backup,omitempty"`
	// Problem says what is wrong with it; "" where nothing was found.
	Problem string `json:"problem,omitempty"`
	// Checked: the whole file was read, and has the digest that its metadata names.
	Checked bool `json:"checked,omitempty"`
}

// Good reports whether nothing is known against it.
func (l ListedBackup) Good() bool { return l.Backup != nil && l.Problem == "" }

var nameForm = regexp.MustCompile(`^([^/\\]+)-([0-9]{8}T[0-9]{6}Z)-([^/\\]+)\.db\.zst(\.age)?$`) // it becomes part of a path

// BackupTime is how a name has the time.
const BackupTime = "20060102T150405Z"

// BackupName is the name of a backup's file.
func BackupName(cluster string, at time.Time, member string, encrypted bool) string {
	name := fmt.Sprintf("%s-%s-%s.db.zst", cluster, at.UTC().Format(BackupTime), member)
	if encrypted {
		name += ".age"
	}
	return name
}

// BackupOf reports whether a file's name is that of a backup of the cluster. A
// cluster's name may be the beginning of another's.
func BackupOf(cluster, name string) bool {
	m := nameForm.FindStringSubmatch(name)
	return m != nil && m[1] == cluster
}

// MetadataSuffix is behind the name of a backup's file in that of its metadata.
const MetadataSuffix = ".json"

// ParseBackup reads a backup's metadata. What it says is not verified.
func ParseBackup(text []byte) (*Backup, error) {
	b := new(Backup)
	if err := json.Unmarshal(text, b); err != nil {
		return nil, err
	}
	switch {
	case b.Format != BackupFormat:
		return nil, fmt.Errorf("its format is %d, this version knows %d", b.Format, BackupFormat)
	case !nameForm.MatchString(b.Name) || len(b.SHA256) != 64 || len(b.PackedSHA256) != 64 || b.Size <= 0 || b.PackedSize <= 0 || b.At.IsZero():
		return nil, errors.New("it lacks what a backup's metadata has")
	}
	return b, nil
}

// Retain says which of the backups of a folder are to go so that the newest keep good ones stay: those that are
// older than the last of these, good or not. Fewer than keep good ones, or a keep of 0: none goes. What has no metadata stays: nobody
// knows what it is. The newest good one always stays.
func Retain(all []ListedBackup, keep int) (drop []ListedBackup) {
	ours := slices.DeleteFunc(slices.Clone(all), func(l ListedBackup) bool { return l.Backup == nil })
	slices.SortStableFunc(ours, func(a, b ListedBackup) int {
		return cmp.Or(b.Backup.At.Compare(a.Backup.At), cmp.Compare(b.Name, a.Name))
	})
	good := 0
	for i, l := range ours {
		if l.Good() {
			good++
		}
		if keep > 0 && good == keep {
			return ours[i+1:]
		}
	}
	return nil
}
