package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quorate/internal/durable"
	"quorate/kvserver"
	"quorate/kvserver/snapshot"
)

// stateLimit bounds what is read as a state: a reason is some hundred bytes.
const stateLimit = 1 << 20

// State is what a host remembers of the backups that it took into a folder by itself; nil: nothing.
func State(dir, cluster string) (*kvserver.BackupState, error) {
	f, err := os.Open(kvserver.BackupStateFile(dir, cluster))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, stateLimit))
	if err != nil {
		return nil, err
	}
	s, err := kvserver.ParseBackupState(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", f.Name(), err)
	}
	return s, nil
}

// Summary is the newest good backup of a cluster in a folder, as far as that can be told without reading it, and what the host
// remembers.
func Summary(dir, cluster string) (s kvserver.BackupSummary, err error) {
	if s.State, err = State(dir, cluster); err != nil {
		return s, err
	}
	all, err := snapshot.List(dir, cluster, 0)
	for i := range all {
		if all[i].Good() {
			s.Newest = &all[i]
			break
		}
	}
	return s, err
}

// recall reads the state. One that cannot be read is begun anew: nothing but what is due depends on it.
func (t *turn) recall() {
	s, err := State(t.Dir, t.Cluster)
	if err != nil {
		t.say("%v; it is begun anew", err)
	}
	if s != nil {
		t.state = *s
	}
	t.state.Format, t.state.Member = kvserver.ScheduledFormat, t.Member
}

// remember writes the state, durable.
func (t *turn) remember() error {
	text, err := json.MarshalIndent(t.state, "", "  ")
	if err == nil {
		err = durable.Write(durable.File{Path: kvserver.BackupStateFile(t.Dir, t.Cluster), Mode: 0o600, UID: -1, GID: -1, Content: append(text, '\n')})
	}
	if err != nil {
		return fmt.Errorf("cannot note what came of it: %w", err)
	}
	return nil
}

// publish writes the node exporter's file, whole or not at all.
func (t *turn) publish() error {
	if t.TextfileDir == "" {
		return nil
	}
	path := filepath.Join(t.TextfileDir, "quorate_backup_"+t.Cluster+".prom")
	if err := durable.Write(durable.File{Path: path, Mode: 0o644, UID: -1, GID: -1, Content: []byte(metrics(t.Cluster, t.state))}); err != nil {
		return fmt.Errorf("cannot write the numbers for the node exporter: %w", err)
	}
	return nil
}

// metrics is a state in the text format of Prometheus; what never happened has no line.
func metrics(cluster string, s kvserver.BackupState) string {
	var b strings.Builder
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace
	gauge := func(name, help string, value int64) {
		name = "quorate_backup_last_" + name
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s{cluster=\"%s\",member=\"%s\"} %d\n", name, help, name, name, quoted(cluster), quoted(s.Member), value)
	}
	stamp := func(name, help string, at time.Time) { gauge(name+"_timestamp_seconds", help, at.Unix()) }
	if ok := s.Success; ok != nil {
		stamp("success", "When a good backup was last taken on this host.", ok.At)
		gauge("size_bytes", "Size of the file of that backup.", ok.Size)
		gauge("revision", "Revision of the keys in that backup.", ok.Revision)
	}
	if s.Proof != nil {
		stamp("proof", "When a backup was last restored and served on this host, with the content that it should have.", s.Proof.At)
	}
	if s.Failure != nil {
		stamp("failure", "When this host last could not do what it was to do.", s.Failure.At)
	}
	return b.String()
}
