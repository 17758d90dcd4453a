package server

import (
	"encoding/json"
	"io"

	"errors"
	"fmt"
	"go.etcd.io/etcd/api/v3/version"
	"io/fs"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"quorate/kvserver"
)

// Files are what a member is started from.
type Files struct {
	// Config is etcd's own configuration file.
	Config string
	// Bootstrap, which may be empty or not exist, says how a member with an
	// empty data directory finds its cluster.
	Bootstrap string
	// Unit, which may be empty, is the unit (or service file) that started
	// the process; it counts in the digest only.
	Unit string
}

// Loaded is what the files said at one moment.
type Loaded struct {
	// Settings is the configuration that the member is to run with, the
	// bootstrap file merged over it if it counts.
	Settings []byte
	// Digest is the [kvserver.ConfigDigest] of configuration and unit; ""
	// where there is a unit and it could not be read: unknown, not wrong.
	Digest string
	// UnitError is why.
	UnitError error
	Name      string
	DataDir   string
	// Initialised: the data directory holds a member, and the bootstrap file was not read.
	Initialised bool
}

// Load reads the files once. The bootstrap file counts only while there is no
// member; without it, an empty data directory is an error, since etcd on its
// own would make a new cluster of one there.
func Load(f Files) (Loaded, error) {
	var l Loaded
	config, err := os.ReadFile(f.Config)
	if err != nil {
		return l, fmt.Errorf("cannot read the configuration: %w", err)
	}
	settings := map[string]any{}
	if err := yaml.Unmarshal(config, &settings); err != nil {
		return l, fmt.Errorf("cannot read the configuration %s: %w", f.Config, err)
	}
	l.Name, _ = settings["name"].(string)
	l.DataDir, _ = settings["data-dir"].(string)
	walDir, _ := settings["wal-dir"].(string)
	if l.DataDir == "" {
		return l, fmt.Errorf("cannot start member %q: the configuration %s names no data-dir", l.Name, f.Config)
	}
	var unit []byte
	if f.Unit != "" {
		unit, l.UnitError = os.ReadFile(f.Unit)
	}
	if l.UnitError == nil {
		l.Digest = kvserver.ConfigDigest(config, unit)
	}
	l.Settings = config
	l.Initialised, err = Initialised(l.DataDir, walDir)
	if err != nil {
		return l, fmt.Errorf("cannot start member %q: %w", l.Name, err)
	}
	if l.Initialised {
		return l, nil
	}
	var over map[string]any
	if f.Bootstrap != "" {
		text, err := os.ReadFile(f.Bootstrap)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return l, fmt.Errorf("cannot read the bootstrap file: %w", err)
		}
		if err := yaml.Unmarshal(text, &over); err != nil {
			return l, fmt.Errorf("cannot read the bootstrap file %s: %w", f.Bootstrap, err)
		}
	}
	for key, v := range over {
		settings[key] = v
	}
	if s, _ := settings["initial-cluster"].(string); s == "" {
		return l, fmt.Errorf("cannot start member %q: its data directory %s is empty, and nothing says how to find its cluster (a bootstrap file with initial-cluster): if there was data, its file system may not be mounted; otherwise run quorate apply", l.Name, l.DataDir)
	}
	l.Settings, err = yaml.Marshal(settings)
	return l, err
}

// Initialised reports whether a data directory holds a member, by etcd's own
// rule: there are WAL files. Data that has been applied without a WAL beside
// it is an error: the WAL's file system may not be mounted, and etcd would
// bootstrap over the data. (An interrupted join leaves an empty database
// without a WAL; that is no member yet.)
func Initialised(dataDir, walDir string) (bool, error) {
	snap := filepath.Join(dataDir, "member", "snap")
	if walDir == "" {
		walDir = filepath.Join(dataDir, "member", "wal")
	}
	wals, err := withSuffix(walDir, ".wal")
	if err != nil {
		return false, err
	}
	if len(wals) > 0 {
		return true, nil
	}
	lost := func(what string) error {
		return fmt.Errorf("%s holds %s, but there is no WAL in %s: is its file system mounted? If the data is to be given up, move %s away and run quorate apply", snap, what, walDir, dataDir)
	}
	snaps, err := withSuffix(snap, ".snap")
	if err != nil {
		return false, err
	}
	if len(snaps) > 0 {
		return false, lost("raft snapshots")
	}
	index, err := consistentIndex(filepath.Join(snap, "db"))
	if err != nil {
		return false, err
	}
	if index > 0 {
		return false, lost(fmt.Sprintf("a database (applied up to index %d)", index))
	}
	return false, nil
}

func withSuffix(dir, suffix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == suffix {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Report says on the log what the operator should know of what was loaded and
// etcd itself would pass over: one line each, in the form of etcd's own log.
// With another etcd than the one in here, nothing is said about options.
func Report(l Loaded, upstream bool, w io.Writer) {
	warn := func(message, key string, value any) {
		line, _ := json.Marshal(map[string]any{"level": "warn", "msg": message, key: value})
		fmt.Fprintf(w, "%s\n", line)
	}
	if l.UnitError != nil {
		warn("cannot read the unit file; what this member runs with cannot be told from outside", "error", l.UnitError.Error())
	}
	if unknown := unknownOptions(l.Settings); len(unknown) > 0 && !upstream {
		warn("options that etcd "+version.Version+" does not know and passes over", "options", unknown)
	}
}
