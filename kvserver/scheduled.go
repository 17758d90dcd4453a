package kvserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// ScheduledFormat is the format of a [ScheduledBackup] and of a [BackupState].
const ScheduledFormat = 1

// ScheduledBackup is what `kvserver backup` reads: how a host takes backups of its member by itself. Anybody may read it: it has no
// secret, so a passphrase in it is an error.
type ScheduledBackup struct {
	Format int `json:"format"`
	BackupRequest
	// CAName is under which name the CA's certificate belongs to a backup, see [Backup.Files].
	CAName string `json:"ca_name,omitempty"`
	// Manifest is the host's, which says the spec that was applied last.
	Manifest string `json:"manifest"`
	// Copies is how many members take one each time, Keep how many good ones stay.
	Copies int `json:"copies"`
	Keep   int `json:"keep"`
	// IntervalSeconds is how often it is run.
	IntervalSeconds int64      `json:"interval_seconds"`
	Prove           ProveEvery `json:"prove"`
	// TextfileDir is the folder for the node exporter's file; "" for none.
	TextfileDir string `json:"textfile_dir,omitempty"`
}

// ProveEvery says how often one is proved.
type ProveEvery string

// How often.
const (
	ProveWeekly ProveEvery = "weekly"
	ProveAlways ProveEvery = "always"
	ProveNever  ProveEvery = "never"
)

// Interval is how often it is run.
func (s ScheduledBackup) Interval() time.Duration {
	return time.Duration(s.IntervalSeconds) * time.Second
}

// ParseScheduled reads a [ScheduledBackup], of which everything that is needed is there.
func ParseScheduled(text []byte) (*ScheduledBackup, error) {
	s := new(ScheduledBackup)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	paths := []string{s.Dir, s.CA, s.Cert, s.Key, s.Manifest}
	if s.TextfileDir != "" {
		paths = append(paths, s.TextfileDir)
	}
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			return nil, fmt.Errorf("%q is no absolute path", p)
		}
	}
	switch {
	case s.Format != ScheduledFormat:
		return nil, fmt.Errorf("its format is %d, this version knows %d", s.Format, ScheduledFormat)
	case s.Passphrase != "":
		return nil, errors.New("it has a passphrase, and anybody may read it: encrypt for recipients")
	case s.Cluster == "" || s.Member == "" || s.Address == "":
		return nil, errors.New("it names no cluster, member or address")
	case s.Copies < 1 || s.Keep < 1 || s.IntervalSeconds < 1 || s.IntervalSeconds > int64(maxInterval/time.Second):
		return nil, fmt.Errorf("%d copies, %d kept and %d seconds cannot be", s.Copies, s.Keep, s.IntervalSeconds)
	case s.Prove != ProveWeekly && s.Prove != ProveAlways && s.Prove != ProveNever:
		return nil, fmt.Errorf("prove is %q, which is neither weekly nor always nor never", s.Prove)
	}
	return s, nil
}

// maxInterval is what a duration holds.
const maxInterval = time.Duration(1<<63 - 1)

// Encode is its JSON, indented, ending in a newline.
func (s ScheduledBackup) Encode() ([]byte, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// BackupState is what a host remembers of the backups that it took by itself, beside them. Times are the host's clock's, UTC.
type BackupState struct {
	Format int    `json:"format"`
	Member string `json:"member"`
	// Success is the last good one; it may be gone since.
	Success *BackupSuccess `json:"success,omitempty"`
	// Proof is the last one that agreed, of whichever backup.
	Proof *BackupProof `json:"proof,omitempty"`
	// Failure is the last thing that did not work; what worked since is in Success.
	Failure *BackupFailure `json:"failure,omitempty"`
	// PassedOver is when the host last left it to others, and to whom.
	PassedOver *BackupFailure `json:"passed_over,omitempty"`
}

// BackupSuccess is a backup that was taken.
type BackupSuccess struct {
	At       time.Time `json:"at"`
	Name     string    `json:"name"`
	Size     int64     `json:"size"` // bytes of the file
	Revision int64     `json:"revision"`
}

// BackupFailure is something that was not done, and why.
type BackupFailure struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// Failing reports whether the last try failed: since then none was taken here, nor left to others.
func (s BackupState) Failing() bool {
	f := s.Failure
	return f != nil && (s.Success == nil || !s.Success.At.After(f.At)) && (s.PassedOver == nil || !s.PassedOver.At.After(f.At))
}

// BackupStateFile is where a folder of backups has the state of a cluster's.
func BackupStateFile(dir, cluster string) string {
	return filepath.Join(dir, ".state-"+cluster+".json")
}

// ParseBackupState reads a [BackupState]. What it says is not verified.
func ParseBackupState(text []byte) (*BackupState, error) {
	s := new(BackupState)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	if s.Format != ScheduledFormat {
		return nil, fmt.Errorf("its format is %d, this version knows %d", s.Format, ScheduledFormat)
	}
	return s, nil
}

// BackupSummary is what `kvserver backups --latest` prints: the newest good backup, and what the host remembers.
type BackupSummary struct {
	Newest *ListedBackup `json:"newest,omitempty"`
	State  *BackupState  `json:"state,omitempty"`
}
